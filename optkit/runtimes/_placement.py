"""Which execution provider got which nodes."""

from collections import Counter

import onnxruntime as ort

RECORD_PLACEMENT = "session.record_ep_graph_assignment_info"
"""Session configuration entry that `count_nodes` needs."""


def count_nodes(session: ort.InferenceSession) -> dict[str, int]:
    """Nodes per execution provider as they were assigned, before a provider fuses its own into one; most first."""
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts.most_common())
