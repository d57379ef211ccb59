"""Asking the store and its peers every question, in turns."""

from collections.abc import Callable, Mapping
from functools import partial

from applyrate.store import Store
from bench.generator import Workload
from bench.peers import Peer
from bench.questions import HOT_RATIO, OURS, Engine, Question, questions
from bench.tables import Bar, Part, Table, milliseconds, significant, times
from bench.timing import Patience, Spread, ask_in_turns

Asked = list[tuple[Question, dict[str, Spread]]]


def ask_all(
    workload: Workload,
    store: Store,
    peers: Mapping[str, Peer],
    patience: Patience,
    tell: Callable[[str], None],
    keep_warm: Callable[[], None],
) -> Asked:
    """Ask everything; ``tell`` is told what is asked next. Raises WrongAnswer.

    ``keep_warm`` is called between the questions.
    """
    engines: dict[str, Engine] = {OURS: store, **peers}
    asked = []
    for question in questions(workload, store):
        tell(question.name)
        ask = {name: partial(question.ask, engine) for name, engine in engines.items()}
        spreads = ask_in_turns(ask, question.askings, patience, keep_warm=keep_warm)
        asked.append((question, spreads))
    return asked


def tell_questions(asked: Asked) -> Part:
    """The table, and whether no peer is faster."""
    names = list(asked[0][1])
    ratios = [(question, _best(spreads)) for question, spreads in asked]
    table = Table(
        "Questions",
        ("p50 (least to most), ms", *names, "the best peer", "ratio"),
        [
            [
                question.name,
                *(milliseconds(spreads[name]) for name in names),
                *((best[0], times(best[1])) if best else ("-", "-")),
            ]
            for (question, spreads), (_, best) in zip(asked, ratios, strict=True)
        ],
        "Warm, in turns, through Python to the finished answer; every answer of every engine is "
        "compared with the store's before it counts, another window each time.",
    )
    found = [(question, best[1]) for question, best in ratios if best]
    hot = [(question, ratio) for question, ratio in found if question.hot]
    return Part(
        [table],
        [
            _bar("every question, to the best peer", found, 1),
            _bar("hot questions, to the best peer", hot, HOT_RATIO),
        ],
    )


def _best(spreads: Mapping[str, Spread]) -> tuple[str, float] | None:
    """The quickest peer, and how many times faster than it the store is."""
    others = {name: spread.median for name, spread in spreads.items() if name != OURS}
    if not others:
        return None
    name = min(others, key=others.__getitem__)
    return name, others[name] / spreads[OURS].median


def _bar(what: str, ratios: list[tuple[Question, float]], bound: float) -> Bar:
    asked = f"at least {bound:g} times as fast"
    if not ratios:
        return Bar(what, asked, "-", None)
    short = [question for question, ratio in ratios if ratio < bound]
    question, ratio = min(ratios, key=lambda found: found[1])
    told = (
        f"{len(ratios) - len(short)} of {len(ratios)}; least {significant(ratio)} ({question.name})"
    )
    return Bar(what, asked, told, not short)
