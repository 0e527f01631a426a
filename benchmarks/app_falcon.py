"""Benchmark application - hello through Falcon."""

import falcon


class Hello:
    """13 bytes, plain text."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer GET /."""
        response.content_type = "text/plain"
        response.text = "Hello, World!"


app = falcon.App()
app.add_route("/", Hello())
