"""An HTTP server for a model, with a page; needs FastAPI (extra ``serve``)."""
