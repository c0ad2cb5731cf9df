"""A model for tests of runs: what every one of them has, to be overridden."""

from pytest_ftgate.models import protocol


class Fake(protocol.Model):
    name = "fake"
    spelling = "test:fake"
    verified = None
    price = None
    concurrency = 1
    timeout_s = 60.0
    retries = 1
    persistent = True
    endpoint = False

    def key(self, example, repeat=0):
        return f"{self.name}/{example.input}/{repeat}"

    async def aclose(self):
        """Nothing to close."""
