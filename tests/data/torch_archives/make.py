"""Files of torch.save for tests/torch_archives.rs, written by PyTorch 2.15; `state.safetensors` has the same state dict."""

import argparse
import collections
import copy
import pickle

import torch
from safetensors.torch import save_file

torch.manual_seed(7)
net = torch.nn.Sequential(
    collections.OrderedDict(
        conv=torch.nn.Conv2d(3, 4, 3),
        bn=torch.nn.BatchNorm2d(4),
        relu=torch.nn.ReLU(),
        flatten=torch.nn.Flatten(),
        fc=torch.nn.Linear(4 * 2 * 2, 3),
    )
)
net.bn.running_mean.uniform_(-1, 1)
net.bn.running_var.uniform_(0.5, 2)
state = copy.deepcopy(net).state_dict()
save_file({name: tensor.contiguous() for name, tensor in state.items()}, "state.safetensors")
torch.save(state, "state.pth")
torch.save(dict(state), "dict.pt")
torch.save(collections.OrderedDict((f"module.{name}", tensor) for name, tensor in state.items()), "parallel.pth")
wrapped = lambda prefix: {prefix + name: tensor for name, tensor in state.items()}
# A checkpoint of the examples of PyTorch, of a model that was compiled; one of Lightning.
torch.save({"epoch": 3, "best_acc1": torch.tensor(0.5), "state_dict": wrapped("module._orig_mod.")}, "compiled.pth")
torch.save({"pytorch-lightning_version": "2.5", "state_dict": wrapped("model."), "epoch": 3}, "lightning.ckpt")

optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
net(torch.zeros(2, 3, 4, 4)).sum().backward()
torch.save({"epoch": 3, "best": 0.5, "state_dict": state, "optimizer": optimizer.state_dict()}, "checkpoint.pth")
# Views of larger storages, a transposed matrix, channels last, parameters instead of tensors.
everything = torch.cat([tensor.flatten().float() for tensor in state.values()])
views, start = {}, 0
for name, tensor in state.items():
    views[name] = everything[start : start + tensor.numel()].view(tensor.shape)
    start += tensor.numel()
torch.save(views, "views.pth")
strided = dict(state)
strided["conv.weight"] = state["conv.weight"].to(memory_format=torch.channels_last)
strided["fc.weight"] = torch.nn.Parameter(state["fc.weight"].t().contiguous().t())
torch.save(strided, "strided.pth")
# Values whose sign PyTorch has yet to change when it reads them.
negated = dict(state)
for name in ["conv.weight", "fc.bias"]:
    negated[name] = torch._neg_view(-state[name])
negated["fc.weight"] = torch._neg_view((-state["fc.weight"]).t().contiguous().t())
torch.save(negated, "negated.pth")
# Values that stand in the file once.
expanded = {"fc.bias": torch.tensor([2.0]).expand(3), "fc.weight": torch.tensor([[1.0], [2.0], [3.0]]).expand(3, 2)}
torch.save(expanded, "expanded.pth")
torch.save({"fc.bias": torch.tensor([2.0]).expand(1 << 40)}, "too_far_expanded.pth")
torch.save({name: tensor.half() for name, tensor in state.items()}, "half.pth")
torch.save({name: tensor.bfloat16() for name, tensor in state.items()}, "bfloat16.pth")
torch.save(state, "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(net, "module.pth")
torch.save({"args": argparse.Namespace(lr=0.1), "state_dict": state}, "arguments.pth")
torch.jit.script(net).save("scripted.pt")


class Shell:
    def __reduce__(self):
        import os

        return os.system, ("touch pwned",)


torch.save({"conv.weight": Shell()}, "shell.pth", pickle_module=pickle)

# Sharded, as Hugging Face writes it.
import json

shards = {"model-00001-of-00002.safetensors": ["conv.weight", "conv.bias", "bn.weight"], "model-00002-of-00002.safetensors": []}
shards["model-00002-of-00002.safetensors"] = [name for name in state if name not in shards["model-00001-of-00002.safetensors"]]
for file, names in shards.items():
    save_file({name: state[name] for name in names}, file, metadata={"format": "pt"})
index = {"metadata": {"total_size": 0}, "weight_map": {name: file for file, names in shards.items() for name in names}}
with open("model.safetensors.index.json", "w") as file:
    json.dump(index, file, indent=2)
