"""One model, everybody's files: made, opened, judged and timed in one run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from side_by_side.emulated import on_haswell
from side_by_side.entries import Entry, entry_at
from side_by_side.making import Made, Peer, our_result, peer_result
from side_by_side.scoring import Fidelity, Score, judged_by_metric, judged_by_referee, mean_of
from side_by_side.timing import HOPELESS, Timed, timed
from side_by_side.verdict import Bout, Duel, Result

from optkit.errors import OptkitError
from optkit.formats.onnx import digest_of, model_size
from optkit.measure._machine import detect
from optkit.runtimes import full_feeds
from optkit.stats.interval import Interval

TIMED_FEEDS = 4
FLOAT = "float32"
OURS = "optkit"


@dataclass(frozen=True)
class Asked:
    """What the user asked for; see the options of peers.py."""

    peers: tuple[Peer, ...]
    variants: tuple[str, ...]
    metric: str | None
    referee: str | None
    output: str | None
    examples: int
    seconds: float
    emulate: int
    made_with: str


@dataclass
class _Seen:
    """What was learned of the files so far, by name."""

    results: dict[str, Result]
    fidelity: dict[str, Score]
    times: dict[str, Timed]
    scores: dict[str, Score]


def hold(folder: Path, results: Path, asked: Asked) -> Bout:
    """Make every file, judge all and time all."""
    entry = entry_at(folder, results)
    made = [our_result(OURS, (), entry)]
    made += [our_result(f"{OURS} {options}", options.split(), entry) for options in asked.variants]
    made += [peer_result(peer, entry) for peer in asked.peers]
    seen = _Seen({}, {}, {}, {})
    files = _opened(entry, made, asked, seen)
    feeds = list(full_feeds(entry.session(), entry.evaluated(entry.session()).spread(TIMED_FEEDS)))
    seen.times = dict(zip(files, timed(list(files.values()), feeds, asked.seconds), strict=True))
    _score(entry, files, asked, seen)
    for name, path in files.items():
        if asked.emulate and name != FLOAT and seen.times[name].about <= HOPELESS:
            examples = entry.evaluated(entry.session()).spread(asked.emulate)
            seen.results[name] = replace(seen.results[name], elsewhere=on_haswell(path, list(full_feeds(entry.session(), examples))))
    return _summed_up(entry, made, files, asked, seen)


def _opened(entry: Entry, made: list[Made], asked: Asked, seen: _Seen) -> dict[str, Path]:
    """Different sound files by name, float32 first; what the others suffer from goes into the results."""
    session = entry.session()
    reference = Fidelity(session, entry.evaluated(session).spread(asked.examples), asked.output)
    files, by_digest, size = {FLOAT: entry.model}, {digest_of(entry.model): FLOAT}, model_size(entry.model)
    for each in made:
        result = Result(each.name, each.why, cpu=each.cpu, peak=each.peak)
        if each.path is not None:
            try:
                digest = digest_of(each.path)
                result = replace(result, digest=digest, size=model_size(each.path) / size, same_as=by_digest.get(digest))
                if result.same_as is None:
                    seen.fidelity[each.name] = reference.of(each.path)
                    files[each.name] = each.path
                    by_digest[digest] = each.name
            except OptkitError as error:
                result = replace(result, why=error.what)
        seen.results[each.name] = result
    return files


def _score(entry: Entry, files: Mapping[str, Path], asked: Asked, seen: _Seen) -> None:
    """Task scores of all files but those so slow that nobody would use them."""
    if not asked.metric and not asked.referee:
        return
    scores = entry.results / "scores"
    scores.mkdir(exist_ok=True)
    for name, path in files.items():
        if seen.times[name].about > HOPELESS:
            continue
        try:
            if asked.referee:
                kept = scores / f"{digest_of(path)[:16]}.json"
                seen.scores[name] = judged_by_referee(asked.referee, entry.name, path, entry.evaluation, kept)
            else:
                assert asked.metric is not None
                seen.scores[name] = judged_by_metric(asked.metric, asked.output, entry.evaluated(entry.session()), path, entry.model)
        except OptkitError as error:
            if name == FLOAT:
                raise
            seen.results[name] = replace(seen.results[name], why=error.what)


def _summed_up(entry: Entry, made: list[Made], files: Mapping[str, Path], asked: Asked, seen: _Seen) -> Bout:
    float_time, float_score = seen.times[FLOAT], seen.scores.get(FLOAT)
    assert float_time.rounds is not None
    for name in list(files)[1:]:
        score = seen.scores.get(name)
        seen.results[name] = replace(
            seen.results[name],
            ratio=seen.times[name].over(float_time),
            score=None if score is None else score.value,
            lost=None if score is None or float_score is None else float_score.minus(score),
            sqnr=mean_of(seen.fidelity[name]),
        )
    for result in list(seen.results.values()):
        if result.same_as == FLOAT:
            seen.results[result.name] = replace(result, ratio=Interval(1, 1, 1), lost=Interval(0, 0, 0), sqnr=Interval(120, 120, 120))
        elif result.same_as is not None:
            twin = seen.results[result.same_as]
            seen.results[result.name] = replace(twin, name=result.name, cpu=result.cpu, peak=result.peak, same_as=result.same_as)
    latency = float(sorted(float(t) for row in float_time.rounds for t in row)[sum(map(len, float_time.rounds)) // 2])
    machine = detect()
    return Bout(
        entry.name,
        float_score.metric if float_score else "",
        len(float_score.each) if float_score else asked.examples,
        float_score.value if float_score else None,
        latency,
        OURS,
        tuple(seen.results[each.name] for each in made),
        tuple(_duels(list(files), seen)),
        asked.made_with,
        f"ONNX Runtime {machine.versions.get('onnxruntime', '?')}, {machine.processor}",
    )


def _duels(names: list[str], seen: _Seen) -> list[Duel]:
    """Each peer's file beside ours; beside float32 where we hand nothing over, which leaves the user with that."""
    ours = OURS if OURS in names else FLOAT
    found = []
    for name in names:
        if name == FLOAT or name.startswith(OURS) or seen.results[name].why:
            continue
        mine, theirs = (seen.scores.get(n) for n in (ours, name))
        if (mine is None or theirs is None) and ours in seen.fidelity:
            mine, theirs = seen.fidelity[ours], seen.fidelity[name]
        if mine is not None and theirs is not None:
            found.append(Duel(name, seen.times[name].over(seen.times[ours]), theirs.minus(mine)))
    return found
