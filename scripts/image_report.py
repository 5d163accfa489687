"""Writes what was measured of the images as Markdown: ``image_report.py DIRECTORY_OF_TIMES``.

The sizes are those of the newest run's images, whose layers are read again here.
"""

import json
import sys
import tarfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMES = {
    "cold": "all three, nothing cached: no layer, no package, no compiled file",
    "cached": "all three, every layer in the builder's cache: written to disk and measured",
    "unchanged": "all three, nothing changed: each byte verified",
    "fresh": "model_api, with `-fresh`: no layer cached, packages downloaded before",
    "one-file": "model_api, one source file changed",
}
LARGEST = 12


def blob(layout: Path, digest: str) -> Path:
    """Return where a layout keeps what has this digest."""
    return layout / "blobs" / digest.replace(":", "/")


def packages(layout: Path, digest: str) -> tuple[Counter[str], list[int]]:
    """Return the bytes of each package, and of each layer unpacked."""
    manifest = json.loads(blob(layout, digest).read_text(encoding="utf-8"))
    sizes: Counter[str] = Counter()
    layers = []
    for number, layer in enumerate(manifest["layers"]):
        total = 0
        with tarfile.open(blob(layout, layer["digest"]), "r:gz") as archive:
            for entry in archive:
                total += entry.size
                parts = Path(entry.name).parts
                if "site-packages" in parts[:-1]:
                    name = parts[parts.index("site-packages") + 1]
                    sizes[name.removesuffix(".libs")] += entry.size
                elif number == 0:
                    sizes["(base image)"] += entry.size
                elif entry.size:
                    sizes[f"({parts[0]})"] += entry.size
        layers.append(total)
    return sizes, layers


def megabytes(size: float) -> str:
    """Return a size as a person reads it."""
    return f"{size / 1e6:.1f}"


def main() -> None:
    """Print the page."""
    times = Path(sys.argv[1])
    print("# Images\n\nWritten by `scripts/measure_images.sh`; do not edit.\n")
    print("| build | median | runs |\n|---|---|---|")
    for name, what in TIMES.items():
        result = json.loads((times / f"{name}.json").read_text(encoding="utf-8"))["results"][0]
        print(f"| {what} | {result['median']:.1f} s | {len(result['times'])} |")
    handed = (ROOT / ".pipeline/latest/artifacts/images.json").read_text(encoding="utf-8")
    images = json.loads(handed)["images"]
    print("\n| image | packed, MB | unpacked, MB | layers unpacked, MB |\n|---|---|---|---|")
    found = {}
    for image in images:
        found[image["name"]], layers = packages(Path(image["layout"]), image["digest"])
        print(
            f"| {image['name']} | {megabytes(image['packed_bytes'])} | "
            f"{megabytes(image['unpacked_bytes'])} | {' + '.join(map(megabytes, layers))} |"
        )
    for name, sizes in found.items():
        print(f"\n## {name}: what takes the room\n\n| part | MB |\n|---|---|")
        for part, size in sizes.most_common(LARGEST):
            print(f"| {part} | {megabytes(size)} |")
        rest = sum(sizes.values()) - sum(size for _, size in sizes.most_common(LARGEST))
        print(f"| the {len(sizes) - LARGEST} others | {megabytes(rest)} |")


if __name__ == "__main__":
    main()
