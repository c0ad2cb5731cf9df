"""A session as one page that needs nothing else: facts in, HTML out. Drawings are inline SVG."""
