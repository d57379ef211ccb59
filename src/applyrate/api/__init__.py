"""The HTTP service: routes, who may ask, and the document that describes them."""
