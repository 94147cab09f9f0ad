"""Hello world as Flask's quickstart has it."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Answer."""
    return "Hello, World!"
