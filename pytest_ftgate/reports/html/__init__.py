"""The HTML report: one self-contained page a session, with charts as inline SVG."""
