"""A model behind HTTP, with a page of its own; FastAPI is needed (extra ``serve``)."""
