"""Run the model of an evaluation in a process of its own.

The process can be killed, its output goes to a log file, and what vLLM prints while it ends never reaches the report.
`client.py` is the evaluation's side, `process.py` the other one; they exchange JSON lines. The two backends,
`vllm_backend.py` and `transformers_backend.py`, answer the same requests.
"""
