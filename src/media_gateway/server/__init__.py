"""The service: the gateway over HTTP, made by `build_app` and run by `serving.serve`."""
