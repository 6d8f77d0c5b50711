"""RNN, GRU and LSTM against ONNX Runtime and torch's own modules; their gradients; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import UnsupportedModelError
from tests.frontends.torch_operators.checks import assert_gradients, assert_round_trip, assert_same
from tests.weighted import weighted_model

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def text(
    operator: str, attributes: str = "", *, directions: int = 1, kind: str = "float", rest: str = "", batch: str = "2"
) -> str:
    g, d = GATES[operator], directions
    weights = f"{kind}[{d},{g * 4},3] w, {kind}[{d},{g * 4},4] w_r, {kind}[{d},{g * 8}] w_b"
    return f"""<ir_version: 10, opset_import: ["" : 18]>
    main ({kind}[5,{batch},3] x, {weights}) => ({kind}[5,{d},{batch},4] y, {kind}[{d},{batch},4] last) <
        int32[2] lengths = {{5, 3}}, {kind}[1,12] w_p = {{{", ".join(["0.3", "-0.2", "0.5"] * 4)}}}
    > {{
        y, last = {operator} <hidden_size = 4{attributes}> (x, w, w_r, w_b{rest})
    }}"""


CASES = {
    "rnn": text("RNN"),
    "rnn with relu, backwards": text("RNN", ', direction = "reverse", activations = ["Relu"]'),
    "gru": text("GRU"),
    "gru, linear before reset": text("GRU", ", linear_before_reset = 1"),
    "gru, both directions": text("GRU", ', direction = "bidirectional"', directions=2),
    "lstm": text("LSTM"),
    "lstm, both directions": text("LSTM", ', direction = "bidirectional"', directions=2),
    "lstm, sequences of several lengths": text("LSTM", rest=", lengths"),
    "lstm, lengths, backwards": text("LSTM", ', direction = "reverse"', rest=", lengths"),
    "lstm, peepholes": text("LSTM", rest=', "", "", "", w_p'),
    "lstm, coupled gates": text("LSTM", ", input_forget = 1"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_forward_is_that_of_onnx_runtime(case: str) -> None:
    assert_same(weighted_model(case))


def test_a_sequence_without_a_step_ends_in_zeros() -> None:
    source = text("GRU", rest=", lengths, w_h").replace("{5, 3}", "{5, 0}")
    assert_same(weighted_model(source.replace(" w_b)", " w_b, float[1,2,4] w_h)")))


@pytest.mark.parametrize("operator", GATES)
def test_gradients_agree_with_finite_differences(operator: str) -> None:
    source = text(operator, ', direction = "bidirectional"', directions=2, kind="double")
    model = weighted_model(source)
    model.graph.outputs.pop()
    assert_gradients(model)


@pytest.mark.parametrize("operator", GATES)
def test_it_round_trips(operator: str) -> None:
    assert_round_trip(weighted_model(text(operator)))


def test_an_open_batch_stays_open() -> None:
    module = gp.to_torch(weighted_model(text("LSTM", batch="N")))
    batch = torch.export.Dim("batch")
    again = gp.from_torch(module, (torch.zeros(5, 2, 3),), dynamic_shapes=({1: batch},))
    x = torch.randn(5, 7, 3)
    found = session_for(again).run(None, {str(again.graph.inputs[0].name): x.numpy()})
    np.testing.assert_allclose(found[0], module(x)[0].detach(), rtol=1e-5, atol=1e-6)


def test_a_module_of_torch_comes_back() -> None:
    torch.manual_seed(0)
    original = torch.nn.LSTM(3, 4)
    model = weighted_model(text("LSTM"))
    order = [0, 2, 3, 1]  # ONNX has input, output, forget, cell; torch input, forget, cell, output
    inverse = [order.index(gate) for gate in range(4)]
    state = {
        name: value.detach().reshape(4, 4, -1)[inverse].reshape(1, 16, -1)
        for name, value in original.named_parameters()
    }
    module = gp.to_torch(model)
    with torch.no_grad():
        module.get_parameter("w").copy_(state["weight_ih_l0"])
        module.get_parameter("w_r").copy_(state["weight_hh_l0"])
        biases = torch.cat([state["bias_ih_l0"], state["bias_hh_l0"]], 1).reshape(1, -1)
        module.get_parameter("w_b").copy_(biases)
    x = torch.randn(5, 2, 3)
    expected, (last, _) = original(x)
    torch.testing.assert_close(module(x)[0][:, 0], expected)
    torch.testing.assert_close(module(x)[1], last)


def test_an_activation_with_parameters_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"\(RNN\): activation 'HardSigmoid' \[GP131\]"):
        gp.to_torch(weighted_model(text("RNN", ', activations = ["HardSigmoid"]')))
    with pytest.raises(UnsupportedModelError, match=r"\(LSTM\): attribute 'clip' \[GP131\]"):
        gp.to_torch(weighted_model(text("LSTM", ", clip = 1.0")))
