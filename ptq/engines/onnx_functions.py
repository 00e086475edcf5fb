"""Functions of real numbers in ONNX's words."""

import math

import numpy as np

from ptq.engines.onnx_shorthand import operands, simple, to_shape
from ptq.graph import Node


def clip(writer, node: Node, result: str) -> None:
    """Clip; Relu where it is one."""
    if node.args[1:] == (0, None):
        writer.add("Relu", node.inputs, result)
    else:
        bounds = [writer.operand(b, node.name) for b in node.args[1:]]
        writer.add("Clip", [*node.inputs, *bounds], result)


def batch_norm(writer, node: Node, result: str) -> None:
    """BatchNormalization; ones and zeros for what is missing."""
    x, gamma, beta, mean, variance, eps = node.args
    size = node.shape[1]
    given = [
        writer.operand(arg, node.name)
        or writer.tensor(f"{node.name}/{name}", np.full(size, fill, "f4"))
        for arg, name, fill in (
            (gamma, "ones", 1),
            (beta, "zeros", 0),
            (mean, "", 0),
            (variance, "", 1),
        )
    ]
    writer.add("BatchNormalization", [x.name, *given], result, epsilon=eps)


def silu(writer, node: Node, result: str) -> None:
    """x times its Sigmoid."""
    (x,) = node.inputs
    gate = writer.add("Sigmoid", [x], f"{result}/gate")
    writer.add("Mul", [x, gate], result)


def hardsigmoid(writer, node: Node, result: str) -> None:
    """ONNX's default slope is another one."""
    writer.add("HardSigmoid", node.inputs, result, alpha=1 / 6, beta=0.5)


def hardswish(writer, node: Node, result: str) -> None:
    """x times its HardSigmoid."""
    hardsigmoid(writer, node, gate := f"{result}/gate")
    writer.add("Mul", [*node.inputs, gate], result)


def mish(writer, node: Node, result: str) -> None:
    """x tanh(softplus(x))."""
    (x,) = node.inputs
    soft = writer.add("Softplus", [x], f"{result}/soft")
    gate = writer.add("Tanh", [soft], f"{result}/gate")
    writer.add("Mul", [x, gate], result)


def gelu(writer, node: Node, result: str) -> None:
    """0.5 x (1 + erf(x / sqrt 2)), or torch's approximation by tanh."""
    (x,), name = node.inputs, f"{result}/"

    def step(kind: str, label: str, first: str, second) -> str:
        if not isinstance(second, str):
            second = writer.tensor(f"{name}{label}/by", np.float32(second))
        return writer.add(kind, [first, second], name + label)

    if node.args[1] == "tanh":
        square = step("Mul", "square", x, x)
        scaled = step("Mul", "scaled", square, 0.044715)
        inner = step("Mul", "cubic", step("Add", "one", scaled, 1.0), x)
        inner = step("Mul", "inner", inner, math.sqrt(2 / math.pi))
        curve = writer.add("Tanh", [inner], f"{name}curve")
    else:
        inner = step("Mul", "inner", x, 1 / math.sqrt(2))
        curve = writer.add("Erf", [inner], f"{name}curve")
    half = step("Mul", "half", x, 0.5)
    gate = step("Add", "gate", curve, 1.0)
    writer.add("Mul", [half, gate], result)


def prelu(writer, node: Node, result: str) -> None:
    """A slope for each channel; LeakyRelu, known to integers, where one."""
    x, slope = node.args
    slopes = writer.network.graph.constants[slope.name]
    if (slopes == slopes[0]).all():
        writer.add("LeakyRelu", [x.name], result, alpha=float(slopes[0]))
        return
    around = (-1, *(1 for _ in node.shape[2:]))
    slopes = writer.tensor(f"{node.name}/slope", slopes.reshape(around))
    writer.add("PRelu", [x.name, slopes], result)


def softplus(writer, node: Node, result: str) -> None:
    """Softplus(beta x) / beta; x itself where beta x is over a threshold."""
    x, beta, threshold = node.args

    def number(label: str, value: float) -> str:
        return writer.tensor(f"{node.name}/{label}", np.float32(value))

    steep = number("beta", beta)
    scaled = writer.add("Mul", [x.name, steep], f"{result}/scaled")
    soft = writer.add("Softplus", [scaled], f"{result}/soft")
    curve = writer.add("Div", [soft, steep], f"{result}/curve")
    most = number("threshold", threshold)
    over = writer.add("Greater", [scaled, most], f"{result}/over")
    writer.add("Where", [over, x.name, curve], result)


def layer_norm(writer, node: Node, result: str) -> None:
    """LayerNormalization of the last dimensions."""
    x, shape, weight, bias, eps = node.args
    gain = writer.operand(weight, node.name) or writer.tensor(
        f"{node.name}/ones", np.ones(shape, np.float32)
    )
    given = [x.name, gain, writer.operand(bias, node.name)]
    given = given if given[-1] else given[:-1]
    settings = {"axis": -len(shape), "epsilon": eps}
    writer.add("LayerNormalization", given, result, **settings)


def group_norm(writer, node: Node, result: str) -> None:
    """Each group as a channel of its own, then gain and shift."""
    x, groups, weight, bias, eps = node.args
    rows = to_shape(writer, x.name, (0, groups, -1), f"{result}/groups")
    plain = [
        writer.tensor(f"{node.name}/{label}", np.full(groups, fill, "f4"))
        for label, fill in (("ones", 1), ("zeros", 0))
    ]
    label = f"{result}/normal"
    writer.add("InstanceNormalization", [rows, *plain], label, epsilon=eps)
    steps = [
        (kind, writer.network.graph.constants[arg.name], arg.name)
        for kind, arg in (("Mul", weight), ("Add", bias))
        if arg is not None
    ]
    y = to_shape(writer, label, node.shape, f"{result}/back")
    for kind, numbers, name in steps:
        around = (-1, *(1 for _ in node.shape[2:]))
        numbers = writer.tensor(f"{name}/around", numbers.reshape(around))
        y = writer.add(kind, [y, numbers], f"{result}/{kind}")
    writer.add("Identity", [y], result)


def mean(writer, node: Node, result: str) -> None:
    """ReduceMean."""
    x, dims, keep = node.args
    writer.add("ReduceMean", [x.name], result, axes=dims, keepdims=int(keep))


# Of torch's own names, which run in float where somebody asks for it.
SAME_IN_ONNX = (
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh"),
    *("acosh", "atanh", "erf", "log", "sign", "round", "floor", "ceil"),
)
FUNCTIONS = {
    f"aten.{name}.default": simple(name.capitalize()) for name in SAME_IN_ONNX
} | {
    "aten.maximum.default": operands("Max"),
    "aten.minimum.default": operands("Min"),
    "aten.celu.default": simple("Celu", "alpha"),
    "clamp": clip,
    "clip": clip,
    "minimum": operands("Min"),
    "batch_norm": batch_norm,
    "add_constant": operands("Add"),
    "mul_constant": operands("Mul"),
    "sub": operands("Sub"),
    "div": operands("Div"),
    "matmul": operands("MatMul"),
    "mean": mean,
    "softmax": simple("Softmax", "axis"),
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "sigmoid": simple("Sigmoid"),
    "tanh": simple("Tanh"),
    "silu": silu,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "gelu": gelu,
    "elu": simple("Elu", "alpha"),
    "leaky_relu": simple("LeakyRelu", "alpha"),
    "prelu": prelu,
    "softplus": softplus,
    "mish": mish,
    "selu": simple("Selu"),
    "pow": operands("Pow"),
    "log_softmax": simple("LogSoftmax", "axis"),
    "exp": simple("Exp"),
    "sqrt": simple("Sqrt"),
    "abs": simple("Abs"),
    "neg": simple("Neg"),
}
