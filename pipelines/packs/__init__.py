"""Evidence packs: everything that speaks for or against an account or a payout, in one file that proves itself.

gather.py   the parts of a pack, from the lake, the terms and what was decided
charts.py   charts as shapes, drawn alike in both documents
page.py     the HTML document, which carries its parts
paper.py    the PDF document, which carries their hashes
make.py     writes them
check.py    a pack against the lake: which part differs
"""

from pipelines.packs.check import Finding, verify
from pipelines.packs.gather import Pack, PackRefused, gather
from pipelines.packs.make import FORMS, Made, file_name, handed_out, make

__all__ = ["FORMS", "Finding", "Made", "Pack", "PackRefused", "file_name", "gather", "handed_out", "make", "verify"]
