"""Models behind an OpenAI-compatible endpoint: chat, batches, fine-tuning jobs."""
