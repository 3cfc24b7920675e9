"""Example 5: a language model as judge.

What: rules score what they can; a language model decides on an answer in words, and checks the criteria of a rubric.
Why:  a reference in prose is met in many wordings, and an open question has no reference at all.
Run:  python examples/05_judge.py
      JUDGE_URL=http://127.0.0.1:8000/v1 JUDGE_MODEL=my-model python examples/05_judge.py

Expected output of the first command, which starts a stand-in that compares words:

    judged   correct    1.00  The paper turns red in the acid.
    judged   wrong      0.00  The paper turns blue in the acid.
    rubric   partial    0.75  Acids turn litmus red.
    rubric   correct    1.00  Acids turn litmus red because they give protons.
"""

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import innovator_rl as ir

QUESTION = "What happens to blue litmus paper in an acid, and why?"
RUBRIC = [{"criterion": "says red", "weight": 3}, {"criterion": "names protons", "weight": 1}]


def decision(texts: dict) -> str:
    """Compare colors, or look for the last word of each criterion."""
    if "criteria" in texts:
        words = {number: line.split()[-1] for number, line in texts["criteria"].items()}
        return "\n".join(f"{n}: {'YES' if word in texts['response'] else 'NO'}" for n, word in words.items())
    colors = [set(texts[side].rstrip(".}").split()) & {"red", "blue"} for side in ("first", "second")]
    return "SAME" if colors[0] == colors[1] else "DIFFERENT"


class StandIn(BaseHTTPRequestHandler):
    """An endpoint of the chat-completions protocol without a model."""

    def do_POST(self) -> None:
        """Answer one request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = decision(json.loads(body["messages"][-1]["content"]))
        reply = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Write no log."""


@contextmanager
def endpoint():
    """Yield the address of an endpoint: yours, or the stand-in's."""
    if "JUDGE_URL" in os.environ:
        yield os.environ["JUDGE_URL"]
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def main() -> None:
    """Score answers in words, and answers to an open question."""
    answers = ["The paper turns red in the acid.", "The paper turns blue in the acid."]
    essays = ["Acids turn litmus red.", "Acids turn litmus red because they give protons."]
    reference = "The color of the paper becomes red"
    words = [{"prompt": QUESTION, "response": f"\\boxed{{\\text{{{text}}}}}", "answer": reference} for text in answers]
    opened = [{"prompt": QUESTION, "response": text, "info": {"rubric": RUBRIC}} for text in essays]
    with endpoint() as url:
        settings = f"url='{url}',model='{os.environ.get('JUDGE_MODEL', 'stand-in')}'"
        for name, rows, texts in (("judged", words, answers), ("rubric", opened, essays)):
            for text, score in zip(texts, ir.score(rows, reward=f"{name}({settings})"), strict=True):
                print(f"{name:8} {score.reason:10} {score.value:.2f}  {text}")


if __name__ == "__main__":
    main()
