"""Why a gate is not green, and what to do about it."""
