"""`highwater`: the one entry point. Results go to standard output, progress to standard error."""

from __future__ import annotations

import argparse
import datetime as dt
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sql.one_line import one_line
from sql.warehouse import Warehouse, WarehouseRefused

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
FIRST_YEAR, LAST_YEAR = 1901, 2199
Args = argparse.Namespace


class Refused(Exception):
    """A command that cannot be done, with the sentence that says why."""


def say(text: str) -> None:
    """One progress line on standard error, whatever of others' texts is in it."""
    print(one_line(text), file=sys.stderr, flush=True)


def show(args: Args, rows: list[dict[str, Any]]) -> None:
    """Rows on standard output: JSON where asked for, else an aligned table."""
    if args.json:
        print(json.dumps(rows, default=str, ensure_ascii=False))
        return
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[("" if row.get(name) is None else one_line(str(row[name]))) for name in names] for row in rows]
    widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(names)]
    numeric = [all(isinstance(row.get(name), int | float) for row in rows) for name in names]
    for line in [names, *cells]:
        padded = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, numeric, strict=True))
        print("  ".join(padded).rstrip())


def warehouse(args: Args) -> Warehouse:
    """The warehouse that `--home` or `HIGHWATER_HOME` names."""
    return Warehouse.open(args.home)


def instant(text: str) -> dt.datetime:
    """An aware instant from the command line."""
    try:
        parsed = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 time, e.g. 2026-03-02T09:15:00Z") from error
    if parsed.tzinfo is None:
        example = parsed.isoformat() + "Z"
        raise argparse.ArgumentTypeError(f"{text!r} has no offset; write e.g. {example}")
    if not FIRST_YEAR <= parsed.year <= LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text!r} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return parsed.astimezone(dt.UTC)


def demo(args: Args) -> None:
    """Writes a made-up firm as a feed folder."""
    from pipelines.demo import write_demo

    try:
        write_demo(args.out, traders=args.traders, days=args.days, seed=args.seed)
    except ValueError as error:
        raise Refused(str(error)) from error
    say(f"Demo firm of {args.traders:,} traders over {args.days} days written to {args.out}.")


def ingest(args: Args) -> None:
    """Validates and lands feeds, or a platform's own export."""
    from pipelines import attempts
    from pipelines.land import land_paths

    house = warehouse(args)
    first = f"landing {', '.join(path.name for path in args.paths[:3])}"
    with attempts.begun(house, sentence=sentence, kind=attempts.INGEST, first=first):
        missing = [path for path in args.paths if not path.exists()]
        if missing:
            raise Refused(f"{missing[0]}: no such file or folder")
        if args.source:
            from pipelines.statements import land_statements

            taken = land_statements(
                house, args.paths, args.source, args.account, args.server_zone, args.currency, args.mapping, say
            )
            landed, outcomes = [load for load, _ in taken], [{"reconciliation": outcome} for _, outcome in taken]
        else:
            landed = land_paths(house, args.paths)
            outcomes = [{} for _ in landed]
    names = ("dataset", "file", "rows", "landed", "duplicates", "rejects", "corrections")
    told = [{name: getattr(load, name) for name in names} for load in landed]
    show(args, [row | outcome for row, outcome in zip(told, outcomes, strict=True)])
    say(f"{sum(load.landed for load in landed):,} rows landed, {sum(load.rejects for load in landed):,} rejected.")


def score(args: Args) -> None:
    """Facts, walk, rules, detectors, models and marts."""
    from models import catalogue
    from pipelines import attempts
    from pipelines.report import write_due
    from pipelines.score import score as run
    from pipelines.shadow import judge_drafts

    house = warehouse(args)
    with attempts.begun(house, say, sentence) as step:
        scored = run(house, catalogue.load(args.rulebook), args.as_of, full=args.full, say=step)
        step("drafts and reports")
        judge_drafts(house, catalogue.folder(args.rulebook), scored.as_of, say)
        for told in write_due(house, scored.as_of) if scored.as_of else []:
            say(told)
    stands_at = scored.as_of.isoformat() if scored.as_of else None
    show(args, [{"as_of": stands_at, "accounts": scored.accounts, "walked": scored.walked}])
    for remark in scored.log:
        say(remark)
    if stands_at:
        say(f"Scored {scored.accounts:,} accounts as of {stands_at}.")


def export(args: Args) -> None:
    """Writes a published table to a file."""
    from models.audit import Record, append
    from pipelines.export import export_table

    house = warehouse(args)
    rows = export_table(house, args.table, args.out, args.format)
    told = Record(getpass.getuser(), "exported", f"export:{args.table}", role="local", after={"rows": rows})
    with house.database.begin() as database:
        append(database, told)
    say(f"{rows:,} rows of {args.table} written to {args.out}.")


def explain(args: Args) -> None:
    """Replays an account from the lake and tells its verdicts."""
    from models import catalogue
    from pipelines.explain import explain as replay

    told = replay(warehouse(args), catalogue.load(args.rulebook), args.account, args.rule, args.as_of)
    print(json.dumps(told.as_json(), ensure_ascii=False, default=str) if args.json else told.as_text())


def whatif(args: Args) -> None:
    """Replays history under other terms."""
    from models import catalogue
    from pipelines.whatif import CAVEATS, compare, parse_axis, sweep_table

    today, draft = catalogue.load(None), catalogue.load(args.rulebook)
    if args.sweep:
        try:
            axes = [parse_axis(text) for text in args.sweep]
        except ValueError as error:
            raise Refused(f"--sweep: {error}") from error
        show(args, sweep_table(warehouse(args), today, draft, args.product, axes, say))
    else:
        found = compare(warehouse(args), today, draft, args.product, say)
        show(args, found.flips if args.flips else found.rows)
    for caveat in CAVEATS:
        say(caveat)


def dashboards(args: Args) -> None:
    """Serves the Streamlit app."""
    from pipelines.start import refuse_taken

    refuse_taken(args.port)
    house = warehouse(args)
    environment = os.environ | {"HIGHWATER_HOME": str(house.home)}
    if args.rulebook:
        environment["HIGHWATER_RULEBOOK"] = str(Path(args.rulebook).resolve())
    app = Path(__file__).parent / "dashboards" / "app.py"
    say(f"Highwater is at http://localhost:{args.port}")
    command = [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(args.port)]
    os.chdir(app.parent.parent)
    os.execvpe(sys.executable, [*command, "--server.headless", "true"], environment)


def live(args: Args) -> None:
    """Serves the live interface."""
    from pipelines.live import fork

    fork.begin()
    from models import catalogue
    from pipelines.live.serve import serve

    say(f"Highwater takes events at http://{args.host}:{args.port}/v1/ (interface: /docs)")
    serve(warehouse(args), catalogue.load(args.rulebook), args.host, args.port)


def key(args: Args) -> None:
    """Makes, lists or revokes keys of the live interface."""
    from pipelines.live import keys

    house = warehouse(args)
    if args.action == "create":
        made = keys.create(house, args.name, args.desk, args.dataset, args.rows_per_second)
        print(json.dumps({"key": made}) if args.json else made)
        say("This key is shown once; keep it where secrets are kept.")
    elif args.action == "list":
        show(args, keys.listed(house))
    elif args.action == "postback":
        print(keys.postback_secret(house, args.key_id))
        say("Postbacks of this key are signed with it; give it to the partner and nobody else.")
    else:
        keys.revoke(house, args.key_id)
        say(f"Key {args.key_id} is revoked.")


def gateway(args: Args) -> None:
    """Says where a desk's platform takes actions and how far they go, lists actions, or answers one."""
    from models.access import LOCAL, Person
    from pipelines.live import outbox

    house = warehouse(args)
    if args.action == "set":
        otherwise = dict(one.partition("=")[::2] for one in args.action_mode)
        secret = outbox.connect(house, args.desk, args.url, args.mode, otherwise)
        print(json.dumps({"secret": secret}) if args.json else secret)
        say("Actions are signed with it; it is shown once.")
    elif args.action == "list":
        show(args, outbox.listed(house, args.state))
    else:
        person = Person(args.who, LOCAL)
        outbox.decide(house, args.outbox_id, send=args.action == "send", person=person, reason=args.reason)
        say(f"Action {args.outbox_id} is {'on its way' if args.action == 'send' else 'declined'}.")


def alert(args: Args) -> None:
    """Subscribes people to alerts, lists what was told to whom, or notes that one was opened."""
    from pipelines.live import alerts

    house = warehouse(args)
    if args.action == "subscribe":
        escalate = (args.escalate_minutes, args.escalate_url) if args.escalate_url else None
        made = alerts.subscribe(
            house, args.role, args.url, desk_id=args.desk, rule=args.subject, outcomes=args.outcome or alerts.USUAL,
            quiet=tuple(args.quiet) if args.quiet else None, zone=args.zone, digest_minutes=args.digest_minutes,
            severity_min=args.severity, escalate=escalate,
        )  # fmt: skip
        print(json.dumps({"subscription": made}) if args.json else made)
    elif args.action == "log":
        show(args, alerts.log(house))
    else:
        alerts.opened(house, [args.case_id], args.who)
        say(f"Alert {args.case_id} is opened.")


def connect(args: Args) -> None:
    """Lands what a platform holds of the firm's accounts, and follows it until stopped."""
    from pipelines.connect.kit.settings import read_settings
    from pipelines.connect.runner import open_connection, run_connection

    house = warehouse(args)
    settings = read_settings(args.config, args.name, house.home)
    try:
        tally = run_connection(house, open_connection(args.name, settings), settings, args.once, say)
    except KeyboardInterrupt:
        say(f"Connection {settings.connection} stopped; it resumes where it was.")
        return
    names = ("rows", "landed", "duplicates", "rejects", "reconnects")
    told = {name: getattr(tally, name) for name in names}
    show(args, [{"connection": settings.connection, **told, "findings": len(tally.findings)}])


def audit(args: Args) -> None:
    """Walks the audit chain and says where it breaks."""
    from models.audit import length, verify

    with warehouse(args).database.connect() as database:
        broken, records = verify(database), length(database)
    show(args, [{"records": records, "holds": broken is None, "first_broken": broken and broken.seq}])
    if broken:
        raise Refused(f"the audit chain breaks at record {broken.seq}: {broken.what}")
    say(f"{records:,} audit records, the chain holds.")


def compact(args: Args) -> None:
    """Puts the lake's small files together and removes old ones."""
    from pipelines.care import compact as run

    show(args, run(warehouse(args), args.kept_hours))


def backup(args: Args) -> None:
    """Writes lake, journal and database into a new folder."""
    from pipelines.care import backup as run

    rows = run(warehouse(args), args.out)
    say(f"{sum(rows.values()):,} rows of {len(rows)} tables and the lake are in {args.out}.")


def restore(args: Args) -> None:
    """Fills an empty home from a backup."""
    from pipelines.care import restore as run

    rows = run(warehouse(args), args.source)
    say(f"{sum(rows.values()):,} rows of {len(rows)} tables and the lake are back.")


def doctor(args: Args) -> None:
    """Says what is configured, reachable and stale."""
    from models import catalogue
    from pipelines.doctor import examine

    findings = examine(warehouse(args), catalogue.folder(args.rulebook))
    show(args, [{"check": f.check, "state": f.state, "found": f.found} for f in findings])
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if wrong:
        raise Refused(
            f"{len(wrong)} of {len(findings)} checks are wrong, the first: {wrong[0].check}: {wrong[0].found}"
        )
    say(f"{len(findings)} checks, nothing wrong.")


def pack(args: Args) -> None:
    """Makes the evidence pack of an account or a payout request, or checks one: pack ID, pack verify FILE."""
    from models import catalogue
    from pipelines import packs

    house, rulebook = warehouse(args), catalogue.load(args.rulebook)
    if args.subject != "verify":
        made = packs.make(house, rulebook, args.subject, args.out)
        show(args, [{"file": str(path), "hash": made.hash} for path in made.files])
        return
    if args.file is None:
        raise Refused("which pack? highwater pack verify FILE")
    found = packs.verify(house, rulebook, args.file)
    show(args, [{"part": one.part, "from": one.source, "state": one.state} for one in found])
    wrong = [one.part for one in found if one.state != "same"]
    if wrong:
        raise Refused(f"{args.file} does not hold: {', '.join(wrong)}")
    say(f"{args.file} holds: the document and its {len(found) - 1} parts are the same.")


def takeout(args: Args) -> None:
    """Writes everything in clean files: the feed, what was decided, and the books."""
    from models.audit import Record, append
    from pipelines.portability import export_all

    house = warehouse(args)
    written = export_all(house, args.out)
    with house.database.begin() as database:
        append(database, Record(getpass.getuser(), "exported", "export:everything", role="local", after=written))
    show(args, [{"what": name, "rows": rows} for name, rows in written.items()])
    say(f"{sum(written.values()):,} rows are in {args.out}.")


def convert(args: Args) -> None:
    """Turns another system's CSV files into a feed, by a mapping."""
    from pipelines.portability import import_export, read_mapping

    written = import_export(args.folder, read_mapping(args.mapping), args.out)
    show(args, [{"dataset": name, "rows": rows} for name, rows in written.items()])
    say(f"The feed is in {args.out}; highwater ingest {args.out} lands it.")


def parallel(args: Args) -> None:
    """Compares a period's commissions and payouts with another system's and lists every difference."""
    import pandas as pd

    from pipelines.portability import parallel_run, read_other

    if args.commissions is None and args.payouts is None:
        raise Refused("what is there to compare? --commissions FILE, --payouts FILE or both")
    given = {
        kind: None if file is None else read_other(kind, file)
        for kind, file in (("commissions", args.commissions), ("payouts", args.payouts))
    }
    since, until = pd.Timestamp(args.since), pd.Timestamp(args.until)
    found = parallel_run(warehouse(args), given["commissions"], given["payouts"], since, until)
    rows = []
    for kind, frame in found.items():
        key = frame.columns[0]
        for _, row in frame.iterrows():
            told = {str(name): None if one != one else one for name, one in row.drop(key).items()}
            rows.append({"what": kind, "id": row[key]} | told)
    show(args, rows)
    for kind, frame in found.items():
        say(f"{len(frame):,} differences in {kind}.")


def statement(args: Args) -> None:
    """Writes a partner's commission statement of some days, as CSV or PDF."""
    from models.audit import Record, append
    from pipelines import partner_papers
    from pipelines.whole import put_bytes

    forms = {".csv": lambda made: partner_papers.as_csv(made).encode(), ".pdf": partner_papers.as_pdf}
    if args.out.suffix not in forms:
        raise Refused(f"{args.out}: a statement is a .csv or a .pdf")
    with warehouse(args).database.begin() as database:
        made = partner_papers.make(database, args.partner, args.since, args.until)
        after = {"rows": len(made.entries)}
        subject = f"export:statement {args.partner}"
        append(database, Record(getpass.getuser(), "exported", subject, role="local", after=after))
        put_bytes(args.out, forms[args.out.suffix](made))
    say(f"{made.title}: {len(made.entries):,} entries written to {args.out}.")


def plans(args: Args) -> None:
    """Lists commission plans; with --dry-run FOLDER, who would have earned more or less under those plans."""
    from models import catalogue
    from models.commissions import load_plans

    if args.dry_run is None:
        held = load_plans()
        listed = [{"plan": one.id, "name": one.name, "versions": len(one.versions)} for one in held.known.values()]
        show(args, listed)
    else:
        from pipelines.plan_trial import try_plans, with_plan

        held = load_plans(args.dry_run)
        found = try_plans(warehouse(args), catalogue.load(args.rulebook), with_plan(held))
        show(args, [{str(name): one for name, one in row.items()} for row in found.to_dict("records")])
    for reason in held.refused.values():
        say(f"refused: {reason}")


def report(args: Args) -> None:
    """Writes the management report, or has scoring runs and the live service write it when due."""
    from models.access import LOCAL, Person
    from pipelines.report import make, schedule, unschedule
    from pipelines.whole import put_bytes
    from sql.report_schema import FORMS

    me, house = Person(getpass.getuser(), LOCAL), warehouse(args)
    with house.database.begin() as database:
        if args.end:
            unschedule(database, me, args.end)
            say(f"The schedule {args.end} has ended.")
        elif args.out is None:
            raise Refused("where to? --out FILE.html or FILE.pdf; a folder with --every has runs write it when due")
        elif args.every and args.out.suffix.lstrip(".") not in FORMS:
            form = args.form or "pdf"
            schedule(database, me, args.name, args.every, form, args.desk, args.out)
            say(f"Every {args.every} the first scoring run writes {args.name} as {form} to {args.out}.")
        else:
            form = args.form or args.out.suffix.lstrip(".")
            put_bytes(args.out, make(database, form, args.desk, args.every or "day"))
            say(f"The report is in {args.out}.")


def a_path(text: str) -> Path:
    """A path from the command line; an empty one would be the folder that one happens to stand in."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} names no file or folder")
    return Path(text)


def _day(text: str) -> dt.date:
    """A day from the command line."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day, e.g. 2026-03-01") from error


def _common(missing: Any, off: Any) -> argparse.ArgumentParser:
    """Options that may stand before or after the command; after it, what is not given leaves what stood before."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", default=missing, help="folder of lake and database (default var)")
    common.add_argument("--rulebook", default=missing, help="folder of product files")
    common.add_argument("--json", action="store_true", default=off, help="results as JSON")
    return common


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="highwater", description=__doc__, parents=[_common(None, False)])
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, run: Callable[[Args], None]) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=run.__doc__, description=run.__doc__, parents=[_common(argparse.SUPPRESS, argparse.SUPPRESS)]
        )
        sub.set_defaults(run=run)
        return sub

    one = command("demo", demo)
    one.add_argument("--out", type=a_path, required=True, help="folder to write")
    one.add_argument("--traders", type=int, default=2000)
    one.add_argument("--days", type=int, default=120)
    one.add_argument("--seed", type=int, default=7)
    one = command("ingest", ingest)
    one.add_argument("paths", type=a_path, nargs="+", metavar="PATH")
    one.add_argument(
        "--source", help="platform whose export it is: mt4-statement, mt5-report, … (docs/sources.md), or auto"
    )
    one.add_argument("--account", help="account that the export belongs to")
    one.add_argument(
        "--server-zone",
        help="clock of the platform's server: Europe/Athens, UTC+2, America/New_York+7; remembered per server",
    )
    one.add_argument("--currency", help="account currency, where the export does not say it")
    one.add_argument("--mapping", type=a_path, help="TOML that describes a generic-csv")
    one = command("score", score)
    one.add_argument("--as-of", type=instant, help="stand at this instant (default: the newest fact)")
    one.add_argument("--full", action="store_true", help="judge every account anew")
    one = command("export", export)
    one.add_argument("table")
    one.add_argument("--out", type=a_path, required=True)
    one.add_argument("--format", choices=("csv", "jsonl", "parquet"))
    one = command("explain", explain)
    one.add_argument("account")
    one.add_argument("--rule")
    one.add_argument("--as-of", type=instant)
    one = command("whatif", whatif)
    one.add_argument("--product", help="only this product of the draft")
    one.add_argument("--flips", action="store_true", help="list the accounts that would have ended otherwise")
    one.add_argument(
        "--sweep", action="append", metavar="STAGE.RULE.FIELD=A,B,…", help="replay every value, or pair of values"
    )
    one = command("dashboards", dashboards)
    one.add_argument("--port", type=int, default=8501)
    one = command("live", live)
    one.add_argument("--host", default="127.0.0.1")
    one.add_argument("--port", type=int, default=8600)
    one = command("key", key)
    actions = one.add_subparsers(dest="action", required=True, metavar="action")
    common = _common(argparse.SUPPRESS, argparse.SUPPRESS)
    made = actions.add_parser("create", help="prints a new key, once", parents=[common])
    made.add_argument("--name", required=True, help="whose key it is")
    made.add_argument("--desk", action="append", default=[], help="bind the key to a desk (repeatable)")
    made.add_argument("--dataset", action="append", default=[], help="bind the key to a dataset (repeatable)")
    made.add_argument("--rows-per-second", type=int, help="rows it may send a second (default: no limit)")
    actions.add_parser("list", help="every key, without its secret", parents=[common])
    one = actions.add_parser("postback", help="prints what postbacks of a key are signed with", parents=[common])
    one.add_argument("key_id")
    actions.add_parser("revoke", help="ends a key", parents=[common]).add_argument("key_id")
    one = command("gateway", gateway)
    actions = one.add_subparsers(dest="action", required=True, metavar="action")
    made = actions.add_parser("set", help="prints the secret that signs a desk's actions, once", parents=[common])
    made.add_argument("desk", help="desk whose platform it is")
    made.add_argument("--url", required=True, help="where actions are sent")
    made.add_argument("--mode", choices=("observe", "ask", "enforce"), default="observe", help="how far they go")
    made.add_argument(
        "--action-mode", action="append", default=[], metavar="ACTION=MODE", help="one action goes otherwise, or off"
    )
    made = actions.add_parser("list", help="actions and what became of them", parents=[common])
    made.add_argument("--state", help="observed, asked, waiting, sent, dead or declined (default: all)")
    for name, words in (("send", "sends an action that asks or is dead"), ("decline", "declines one")):
        made = actions.add_parser(name, help=words, parents=[common])
        made.add_argument("outbox_id")
        made.add_argument("--who", required=True, help="who decides")
        made.add_argument("--reason", default="", help="why; needed to decline")
    one = command("alert", alert)
    actions = one.add_subparsers(dest="action", required=True, metavar="action")
    made = actions.add_parser("subscribe", help="tells a role at an Apprise address", parents=[common])
    made.add_argument("--role", required=True, help="who reads it")
    made.add_argument("--url", required=True, help="Apprise address")
    made.add_argument("--desk", help="only this desk")
    made.add_argument("--subject", help="only this rule or detector")
    made.add_argument("--outcome", action="append", help="breached, passed, flagged, … (repeatable)")
    made.add_argument("--severity", type=int, default=0, help="0 all, 1 to look at, 2 endings, 3 feeds that stopped")
    made.add_argument("--quiet", nargs=2, metavar=("FROM", "TO"), help="HH:MM between which nothing is sent")
    made.add_argument("--zone", default="UTC", help="IANA zone of the quiet hours")
    made.add_argument("--digest-minutes", type=int, default=0, help="one message per so many minutes")
    made.add_argument("--escalate-minutes", type=int, default=15, help="minutes until somebody must have opened it")
    made.add_argument("--escalate-url", help="Apprise address that is told otherwise")
    actions.add_parser("log", help="what was told to whom", parents=[common])
    made = actions.add_parser("opened", help="notes that somebody opened an alert", parents=[common])
    made.add_argument("case_id")
    made.add_argument("--who", required=True, help="who opened it")
    one = command("connect", connect)
    one.add_argument("name", metavar="NAME", help="ctrader-open-api, mt5-gateway, matchtrader, tradelocker, …")
    one.add_argument("--config", type=a_path, required=True, help="TOML file of the connection")
    one.add_argument("--once", action="store_true", help="catch up and end, instead of following")
    one = command("compact", compact)
    one.add_argument("--kept-hours", type=int, default=168, help="keep replaced files so long (default a week)")
    command("backup", backup).add_argument("--out", type=a_path, required=True, help="folder to write")
    command("restore", restore).add_argument("source", type=a_path, help="folder that a backup wrote")
    command("doctor", doctor)
    one = command("pack", pack)
    one.add_argument("subject", metavar="ACCOUNT|PAYOUT|verify", help="what the pack is about, or verify")
    one.add_argument("file", type=a_path, nargs="?", metavar="FILE", help="the pack to check, after verify")
    one.add_argument("--out", type=a_path, default=Path(), help="folder to write (default: this one)")
    command("takeout", takeout).add_argument("--out", type=a_path, required=True, help="folder to write")
    one = command("convert", convert)
    one.add_argument("folder", type=a_path, help="folder of the other system's CSV files")
    one.add_argument("--mapping", type=a_path, required=True, help="TOML file, a table per dataset")
    one.add_argument("--out", type=a_path, required=True, help="folder of the feed to write")
    one = command("parallel", parallel)
    one.add_argument(
        "--commissions", type=a_path, help="CSV: partner_id, currency, amount, happened_at; challenge_id too"
    )
    one.add_argument("--payouts", type=a_path, help="CSV: payout_id, currency, amount, settled_at")
    one.add_argument("--since", type=instant, required=True, help="the period begins at this instant")
    one.add_argument("--until", type=instant, required=True, help="and ends before this one")
    one = command("statement", statement)
    one.add_argument("partner", metavar="PARTNER")
    one.add_argument("--since", type=_day, required=True, help="first day, UTC")
    one.add_argument("--until", type=_day, required=True, help="last day, UTC")
    one.add_argument("--out", type=a_path, required=True, help="file to write, .csv or .pdf")
    one = command("plans", plans)
    one.add_argument("--dry-run", type=a_path, metavar="FOLDER", help="settle all of history under these plans too")
    one = command("report", report)
    one.add_argument("--out", type=a_path, help="file to write now; with --every a folder, to have it written when due")
    one.add_argument("--form", choices=("html", "pdf"), help="default: what the name says, PDF for schedules")
    one.add_argument("--desk", help="only this desk")
    one.add_argument(
        "--every",
        choices=("day", "week", "month"),
        help="the period it covers; into a folder, written by the first run of each",
    )
    one.add_argument("--name", default="management", help="name of the schedule and of its files")
    one.add_argument("--end", metavar="NAME", help="end a schedule")
    one = command("audit", audit)
    one.add_argument("what", choices=("verify",), help="walk the chain")
    return top


def refusals() -> tuple[type[Exception], ...]:
    """The exceptions that carry a sentence for the user."""
    from models.catalogue import RulebookRefused
    from models.churn import ChurnRefused
    from models.commissions.plans import PlanRefused
    from models.segments import SegmentsRefused
    from models.toml_files import TomlRefused
    from pipelines.care import CareRefused
    from pipelines.connect.kit.interface import ConnectRefused
    from pipelines.explain import ExplainRefused
    from pipelines.export import ExportRefused
    from pipelines.land import FeedRefused
    from pipelines.live.alerts import AlertRefused
    from pipelines.live.keys import KeyRefused
    from pipelines.live.outbox import OutboxRefused
    from pipelines.live.serve import LiveRefused
    from pipelines.packs import PackRefused
    from pipelines.partner_papers import StatementRefused
    from pipelines.plan_trial import TrialRefused
    from pipelines.portability import MappingRefused
    from pipelines.report import ReportRefused
    from pipelines.sources import SourceRefusal
    from pipelines.whatif import WhatIfRefused
    from pipelines.whole import WriteRefused

    return (
        Refused,
        WarehouseRefused,
        RulebookRefused,
        ChurnRefused,
        FeedRefused,
        SourceRefusal,
        ExportRefused,
        ExplainRefused,
        WhatIfRefused,
        WriteRefused,
        KeyRefused,
        AlertRefused,
        OutboxRefused,
        CareRefused,
        ConnectRefused,
        LiveRefused,
        PackRefused,
        PlanRefused,
        StatementRefused,
        TrialRefused,
        MappingRefused,
        ReportRefused,
        SegmentsRefused,
        TomlRefused,
    )


def sentence(error: BaseException) -> str | None:
    """What an error says to the user; None for a defect, which deserves its traceback."""
    from pipelines import faults

    return str(error) if isinstance(error, refusals()) else faults.sentence(error)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 0 done, 1 refused or failed, 2 wrong usage."""
    args = parser().parse_args(argv)
    try:
        args.run(args)
    except BrokenPipeError:
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        told = sentence(error)
        if told is None:
            raise
        say(f"highwater: {told}")
        return REFUSED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
