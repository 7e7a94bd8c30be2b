"""A comparison with peers as Markdown. Pure."""

from collections.abc import Sequence

from side_by_side.verdict import BAR, Bout, Result, front, is_usable, mean_speed_ups, speed_up

from optkit.stats.interval import Interval


def bout_text(bout: Bout) -> str:
    """One model: a table of all results, and the verdict."""
    ahead = front(bout.peers)
    score = f"{bout.metric} {bout.score:.4f} on {bout.examples:,} examples, " if bout.score is not None else ""
    lines = [
        f"## {bout.model}",
        "",
        f"float32: {score}{bout.latency * 1e3:.3g} ms, one thread. {bout.made_with}; {bout.machine}.",
        "",
        f"| result | {bout.metric or 'score'} | lost | SQNR dB | time × | size × | made in CPU s / peak MB | elsewhere |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(result, result.name in ahead, bool(bout.metric)) for result in bout.results),
        "",
        verdict_text(bout),
    ]
    return "\n".join(lines)


def verdict_text(bout: Bout) -> str:
    """Whether any peer is both faster and more accurate, in a sentence; then those that are ahead in one and not behind in the other."""
    behind = [duel.peer for duel in bout.duels if duel.stand == "behind"]
    level = [
        f"{duel.peer} ({_interval(duel.time)} of our time, {_signed(duel.quality, bool(bout.metric))})"
        for duel in bout.duels
        if duel.stand == "level"
    ]
    said = f"**Beaten by {', '.join(behind)}**" if behind else "No peer is both faster and more accurate"
    return f"{said}. Ahead in one, not shown to be behind in the other: {'; '.join(level) or 'none'}."


def summary_text(bouts: Sequence[Bout]) -> str:
    """Over all models: speed-ups, counting what is not usable as 1, and whether ours clears the bar."""
    means = mean_speed_ups(bouts)
    ours = means.pop("optkit")
    best = max(means, key=lambda name: means[name], default=None)
    order = sorted(means, key=lambda name: means[name], reverse=True)
    lines = [
        "## All models",
        "",
        "Speed-ups over float32; what is broken, slower, or loses more than a point counts as 1.00 (–). One interleaved run per model.",
        "",
        "| model | optkit | best peer |",
        "| --- | --- | --- |",
        *(f"| {bout.model} | {_speed(bout.named(bout.ours))} | {_best_peer(bout)} |" for bout in bouts),
        "",
        "| over all models | geometric mean | usable results |",
        "| --- | --- | --- |",
        f"| optkit | {ours:.3f} | {sum(is_usable(b.named(b.ours)) for b in bouts)} of {len(bouts)} |",
        *(f"| {name} | {means[name]:.3f} | {_usable(name, bouts)} of {len(bouts)} |" for name in order),
    ]
    if best is not None:
        held = "clears" if ours >= BAR * means[best] else "does not clear"
        lines += ["", f"optkit's mean is {ours / means[best]:.2f}× that of {best}, the best single peer: it {held} the bar of {BAR}×."]
    beaten = [bout.model for bout in bouts if any(duel.stand == "behind" for duel in bout.duels)]
    lines += ["", f"A peer is both faster and more accurate on: {', '.join(beaten) or 'no model'}."]
    return "\n".join(lines)


def _row(result: Result, on_front: bool, scored: bool) -> str:
    name = f"{result.name}{' ◄' if on_front else ''}"
    cost = "–" if result.cpu is None or result.peak is None else f"{result.cpu:.1f} / {result.peak / 1e6:,.0f}"
    if result.why:
        return f"| {name} | fails: {_cell(result.why)} | | | | | {cost} | |"
    score = "–" if result.score is None else f"{result.score:.4f}"
    lost = _signed(result.lost, scored) if result.lost is not None else "–"
    sqnr = "–" if result.sqnr is None else f"{result.sqnr.value:.1f}"
    size = "–" if result.size is None else f"{result.size:.3f}"
    same = f" (the same file as {result.same_as})" if result.same_as else ""
    return f"| {name}{same} | {score} | {lost} | {sqnr} | {_interval(result.ratio)} | {size} | {cost} | {result.elsewhere or '–'} |"


def _best_peer(bout: Bout) -> str:
    best = max(bout.peers, key=speed_up, default=None)
    if best is None or not is_usable(best):
        return "none usable"
    return f"{speed_up(best):.2f} ({best.name})"


def _speed(result: Result) -> str:
    return f"{speed_up(result):.2f}" if is_usable(result) else "–"


def _usable(name: str, bouts: Sequence[Bout]) -> int:
    return sum(is_usable(result) for bout in bouts for result in bout.peers if result.name == name)


def _interval(found: Interval | None) -> str:
    if found is None:
        return "–"
    if found.low == found.high or found.high == float("inf"):
        return f"about {found.value:.2f}"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _signed(found: Interval, scored: bool) -> str:
    """A difference of scores in points, or of decibels."""
    scale, unit = (100, "pt") if scored else (1, "dB")
    return f"{scale * found.value:+.1f} {unit} ({scale * found.low:+.1f} to {scale * found.high:+.1f})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:160]
