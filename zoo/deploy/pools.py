"""Zeros around pictures taken into the pools that read them, in OpenVINO, which else copies each picture for that.

A pool of maxima pads with what never wins. Where no number of a picture is negative, as behind a ReLU, zeros win over
none of them either, so the answers are the same to the last bit.
"""

from typing import Any


def pad_inside(model: Any) -> int:
    """Let pools of maxima do the padding with zeros before them.

    Args:
        model: An `openvino.Model`; it is changed.

    Returns:
        How many do.
    """
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MaxPool" and (widths := _zeros_before(node)) is not None:
            node.set_attribute("auto_pad", "explicit")
            for name, sides in zip(("pads_begin", "pads_end"), widths, strict=True):
                node.set_attribute(name, sides)
            node.input(0).replace_source_output(node.input_value(0).get_node().input_value(0))
            count += 1
    if count:
        model.validate_nodes_and_infer_types()
    return count


def _zeros_before(pool: Any) -> tuple[list[int], list[int]] | None:
    """How many zeros are put (above, left of) and (below, right of) a pool's pictures, if it can do that by itself.

    It can if they are fewer than its windows, and the pictures have no negative numbers.
    """
    pad, facts = pool.input_value(0).get_node(), pool.get_attributes()
    if pad.get_type_name() != "Pad" or pad.get_attributes()["pad_mode"] != "constant":
        return None
    # Without a value it pads with zeros.
    begin, end, *value = (_constant(source) for source in pad.input_values()[1:])
    if begin is None or end is None or value not in ([], [[0]]) or any(begin[:2] + end[:2]):
        return None
    fits = all(
        0 <= side < size for sides in (begin, end) for side, size in zip(sides[2:], facts["kernel"], strict=True)
    )
    is_plain = facts["auto_pad"] == "valid" and set(facts["dilations"]) == {1}
    return (begin[2:], end[2:]) if fits and is_plain and _is_never_negative(pad.input_value(0)) else None


def _constant(output: Any) -> list | None:
    node = output.get_node()
    return node.get_data().ravel().tolist() if node.get_type_name() == "Constant" else None


def _is_never_negative(output: Any) -> bool:
    node = output.get_node()
    kind = node.get_type_name()
    if kind in ("Concat", "MaxPool"):
        return all(_is_never_negative(source) for source in node.input_values())
    return kind == "Relu" or (kind == "Clamp" and node.get_attributes()["min"] >= 0)
