import os
import uuid

# Ray clusters of the tests get a token of their own; left alone, Ray would write one into the user's home.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = uuid.uuid4().hex
