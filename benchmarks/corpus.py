"""Corpus builds against the floor of reading and hashing the same bytes, in one run.

    python -m benchmarks.corpus [--sizes 1000,10000,100000] [--data ../shared/data] [--formulas 3000]

Three tables are printed. The first is the speed of each stage for one process, growing with the number of generated
documents, with the peak memory of the process. The second is the recall and precision of near-duplicate removal on planted
copies. The third is the share of formulas of real textbooks that survive MathML -> LaTeX -> MathML character by
character, with those that do not; it is left out where the books are not found.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from lxml import etree

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.readers.mathml import round_trip
from innovator_rl.data.corpus.steps.base import decision_name
from innovator_rl.data.corpus.steps.near import DropNearDuplicates

WORDS = 250
BOOKS = ("university-physics-bundle", "chemistry-bundle", "calculus-bundle")
BUILD = """
import json, resource, sys, time
from pathlib import Path
from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.recipe import CorpusRecipe
started = time.monotonic()
manifest = build_corpus(CorpusRecipe.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
stages = [[s.name, s.tally.documents_in, s.tally.bytes_in, s.tally.seconds] for s in manifest.stages]
print(json.dumps({"seconds": time.monotonic() - started, "peak": peak, "stages": stages}))
"""


def generate(path: Path, count: int) -> None:
    """Write documents of `WORDS` words, one in ten a near copy of an earlier one."""
    source = random.Random(0)
    vocabulary = [f"{a}{b}" for a in ("mass", "ion", "wave", "cell", "ring", "heat") for b in range(800)]
    recent: list[list[str]] = []
    per_file = 20_000
    for start in range(0, count, per_file):
        with (path / f"{start:08d}.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(min(per_file, count - start)):
                if recent and source.random() < 0.1:
                    words = list(source.choice(recent))
                    words[source.randrange(WORDS)] = "other"
                else:
                    words = source.choices(vocabulary, k=WORDS)
                recent = [*recent[-200:], words]
                text = "\n\n".join(" ".join(words[i : i + 50]) for i in range(0, WORDS, 50))
                file.write(json.dumps({"text": text}) + "\n")


def floor(path: Path) -> float:
    """Return the seconds to read and hash all files once."""
    started = time.monotonic()
    for file in sorted(path.iterdir()):
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
    return time.monotonic() - started


def growth(sizes: list[int]) -> None:
    """Print the speed of each stage and the peak memory for every number of documents."""
    print("| documents | stage | MB/s | documents/s |\n| ---: | --- | ---: | ---: |")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "raw"
            raw.mkdir()
            generate(raw, size)
            read = floor(raw)
            total = sum(file.stat().st_size for file in raw.iterdir())
            recipe = {
                "name": "bench",
                "sources": [{"name": "raw", "path": str(raw)}],
                "steps": [
                    {"step": name}
                    for name in ("drop_short", "drop_duplicates", "drop_near_duplicates", "drop_duplicate_paragraphs")
                ],
                "outputs": {"tokens": {"tokenizer": "smollm2-135m"}},
            }
            command = [sys.executable, "-c", BUILD, json.dumps(recipe), folder]
            done = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        print(
            f"| {size:,} | read and hash only | {total / 1e6 / max(read, 1e-9):.1f} | {size / max(read, 1e-9):,.0f} |"
        )
        for name, documents, length, seconds in done["stages"]:
            print(f"| {size:,} | {name} | {length / 1e6 / seconds:.2f} | {documents / seconds:,.0f} |")
        print(
            f"| {size:,} | whole build, {done['seconds']:.1f} s, peak {done['peak']:.0f} MiB "
            f"| {total / 1e6 / done['seconds']:.2f} | {size / done['seconds']:,.0f} |",
            flush=True,
        )


def planted(copies: int = 400) -> None:
    """Print recall and precision on copies whose exact similarity is known."""
    step = DropNearDuplicates.model_validate({"threshold": 0.8})
    source = random.Random(1)
    originals = [[f"w{source.randrange(8000)}" for _ in range(300)] for _ in range(copies)]
    changed = [[w if source.random() > 0.012 else f"x{source.randrange(10**6)}" for w in words] for words in originals]
    similar = set()
    for i, (a, b) in enumerate(zip(originals, changed, strict=True)):
        one, two = (set(step.shingles(" ".join(words)).tolist()) for words in (a, b))
        if len(one & two) / len(one | two) >= step.threshold:
            similar.add(i)
    with tempfile.TemporaryDirectory() as folder:
        scans = [Path(folder) / name for name in ("originals", "copies")]
        documents = [
            [Document(id=str(i), text=" ".join(w)) for i, w in enumerate(part)] for part in (originals, changed)
        ]
        for scan, part in zip(scans, documents, strict=True):
            scan.mkdir()
            step.scan(part, scan)
        step.decide(scans, Path(folder))
        results = list(step.apply(documents[1], Path(folder) / decision_name(1)))
    dropped = {i for i, (_, result) in enumerate(results) if result.document is None}
    recall, precision = len(dropped & similar) / len(similar), len(dropped & similar) / max(1, len(dropped))
    print("\n| copies at 0.8 and above | recall | precision |\n| ---: | ---: | ---: |")
    print(f"| {len(similar)} of {copies} | {recall:.3f} | {precision:.3f} |", flush=True)


def formulas(data: Path, count: int) -> None:
    """Print the share of formulas that survive the round trip, and those that do not."""
    print("\n| book | distinct formulas | checked | exact | not exact |\n| --- | ---: | ---: | ---: | ---: |")
    rest = []
    for book in BOOKS:
        found: set[str] = set()
        with tarfile.open(data / "textbooks" / "raw" / f"{book}.tar.xz") as archive:
            for member in archive:
                if member.name.endswith("index.cnxml") and (content := archive.extractfile(member)):
                    for math in etree.fromstring(content.read()).iter("{http://www.w3.org/1998/Math/MathML}math"):
                        found.add(etree.tostring(math, encoding="unicode", with_tail=False))
        sample = random.Random(0).sample(sorted(found), min(count, len(found)))
        lost = round_trip(sample)
        share = 100 * (1 - len(lost) / len(sample))
        print(f"| {book} | {len(found):,} | {len(sample):,} | {share:.2f} % | {len(lost)} |", flush=True)
        rest += [(book, latex, shown) for _, latex, shown in lost]
    print("\nNot exact (book, LaTeX, what it shows):\n")
    for book, latex, shown in rest:
        print(f"- {book}: `{latex[:160]}` -> `{shown[:100]}`")


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--formulas", type=int, default=3000, help="formulas per book")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",") if size]
    if sizes:
        growth(sizes)
    planted()
    if (arguments.data / "textbooks").is_dir():
        formulas(arguments.data, arguments.formulas)


if __name__ == "__main__":
    main()
