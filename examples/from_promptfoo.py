"""Make a test set and recorded answers of a promptfoo run.

Read promptfooconfig.yaml and results.json (``promptfoo eval -o results.json``). Tests
with one ``equals`` assertion become test rows. Tested with promptfoo 0.121.
"""

import json
from pathlib import Path

import yaml

INPUT = "question"  # the variable that is the input
PROVIDER = "echo"  # the provider's id in your config

config = yaml.safe_load(Path("promptfooconfig.yaml").read_text("utf-8"))
results = json.loads(Path("results.json").read_text("utf-8"))["results"]
with open("test.jsonl", "w") as tests, open("base.jsonl", "w") as answers:
    for number, test in enumerate(config["tests"]):
        rules = [a for a in test.get("assert", ()) if a["type"] == "equals"]
        if len(rules) == 1:
            row = {"id": f"p{number}", **test["vars"]}
            row |= {"input": row.pop(INPUT), "expected": rules[0]["value"]}
            print(json.dumps(row), file=tests)
    for result in results["results"]:
        if result["provider"]["id"] == PROVIDER and "response" in result:
            output = result["response"]["output"]
            row = {"id": f"p{result['testIdx']}", "output": output}
            print(json.dumps(row), file=answers)
