"""The parameters of a module that a plan names, and the masks on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir
import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import parametrize

from graphprune.errors import RecipeError
from graphprune.frontends.torch_origin import place_of
from graphprune.training.methods.base import ParameterMask


@dataclass(frozen=True)
class Site:
    """One parameter under one mask.

    Attributes:
        name: Of the parameter in the exported graph: that in the module's `state_dict` before it was prepared, or in
            the file that the module was made from.
        owners: The modules that hold it, with the attribute's name: several where it is tied.
        mask: The parametrization.
    """

    name: str
    owners: tuple[tuple[nn.Module, str], ...]
    mask: ParameterMask

    @property
    def parameter(self) -> nn.Parameter:
        """The dense weight that the optimizer trains; looked up, because FSDP replaces parameters."""
        module, attribute = self.owners[0]
        found: nn.Parameter = getattr(module.parametrizations, attribute).original
        return found

    def weight(self) -> torch.Tensor:
        """Return the dense weight, whole, without gradient."""
        return whole(self.parameter.detach())

    def whole_parameter(self) -> torch.Tensor:
        """Return the dense weight, whole, as the gradient sees it."""
        return whole(self.parameter)

    def advance(self, ratio: float, progress: float) -> None:
        """Let the mask follow the schedule."""
        self.mask.advance(ratio, progress, self.weight())

    def register(self) -> None:
        """Put the mask on every owner."""
        for module, attribute in self.owners:
            parametrize.register_parametrization(module, attribute, self.mask)

    def of_copy(self, module: nn.Module, copy: nn.Module) -> Site:
        """Return the same parameter of a copy of `module`, under the copy's mask."""
        paths = {child: path for path, child in module.named_modules()}
        owners = tuple((copy.get_submodule(paths[owner]), attribute) for owner, attribute in self.owners)
        holder, attribute = owners[0]
        parametrizations = getattr(holder, "parametrizations", {})
        mask = parametrizations[attribute][0] if attribute in parametrizations else None
        if not isinstance(mask, ParameterMask):
            reason = "has no mask in it; give a copy that was made between prepare and finalize"
            raise RecipeError(f"{type(copy).__name__}: weight '{self.name}' {reason}", code="GP702")
        return Site(self.name, owners, mask)

    def remove(self, weight: torch.Tensor) -> None:
        """Take the mask off and leave `weight` in the parameter."""
        parameter = self.parameter
        for module, attribute in self.owners:
            _give_own_class(module)
            parametrize.remove_parametrizations(module, attribute, leave_parametrized=False)
        _write(parameter, weight)


def _give_own_class(module: nn.Module) -> None:
    """Copies of a module share its parametrized class, from which torch deletes the parameter with the mask."""
    kind = type(module)
    module.__class__ = type(kind.__name__, kind.__bases__, dict(kind.__dict__))


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that FSDP spread over ranks in one piece; another one as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def _write(parameter: torch.Tensor, weight: torch.Tensor) -> None:
    if isinstance(parameter, DTensor):
        weight = distribute_tensor(weight, parameter.device_mesh, parameter.placements)
    parameter.copy_(weight)


def owners_of(module: nn.Module, name: str) -> tuple[tuple[nn.Module, str], ...]:
    """Return who holds the parameter that the module's export calls `name`, and under which attribute.

    Raises:
        RecipeError: The module has no such parameter, or it is under a parametrization already (GP702).
    """
    path, _, attribute = place_of(module, name).rpartition(".")
    holder = dict(module.named_modules(remove_duplicate=False)).get(path)
    parameter = getattr(holder, "_parameters", {}).get(attribute)
    if parameter is None:
        reason = "has a parametrization already" if _is_parametrized(holder, attribute) else "is no parameter of it"
        raise RecipeError(f"{type(module).__name__}: weight '{name}' {reason}", code="GP702")
    return tuple(_holders(module, parameter))


def _is_parametrized(holder: nn.Module | None, attribute: str) -> bool:
    return holder is not None and parametrize.is_parametrized(holder, attribute)


def _holders(module: nn.Module, parameter: nn.Parameter) -> Iterator[tuple[nn.Module, str]]:
    for child in module.modules():
        for attribute, held in child.named_parameters(recurse=False, remove_duplicate=False):
            if held is parameter:
                yield child, attribute


def follow(model: ir.Model, sites: Iterable[Site]) -> None:
    """Let the exported weights read the live ones, so that a later plan sees what was trained, without a copy."""
    for site in sites:
        value = model.graph.initializers[site.name]
        tensor = value.const_value
        assert tensor is not None  # it was planned
        value.const_value = ir.LazyTensor(
            _reader(site), dtype=tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=site.name
        )


def _reader(site: Site) -> Callable[[], ir.TensorProtocol]:
    def read() -> ir.TensorProtocol:
        weight = site.weight().cpu()
        return ir.tensor(weight.float() if weight.dtype == torch.bfloat16 else weight, name=site.name)

    return read
