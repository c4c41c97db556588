"""The work of `nanolora-gpu bench` in PyTorch, under the same names: torch_bench.py cuda|cpu full|quick. Writes JSON.

f32 is plain single precision (TF32 off); tf32 lets products use tensor cores; bf16 is autocast. Attention is scaled_dot_product_attention.
"""
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

DEVICE, QUICK = sys.argv[1], sys.argv[2] == "quick"
PRECISIONS = ["f32", "tf32", "bf16"] if DEVICE == "cuda" else ["f32"]
torch.manual_seed(1)


def sync():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def measure(run):
    """The median of a run in milliseconds: as many as fit half a second, five at least; short ones several at a time."""
    run()
    run()
    sync()
    start = time.perf_counter()
    run()
    sync()
    together = min(1000, max(1, int(0.02 / max(1e-6, time.perf_counter() - start))))
    times, begin = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begin < 0.5 and len(times) < 50):
        start = time.perf_counter()
        for _ in range(together):
            run()
        sync()
        times.append((time.perf_counter() - start) * 1e3 / together)
    return statistics.median(times)


def rand(*shape):
    return torch.rand(*shape, device=DEVICE) - 0.5


class Linear(torch.nn.Linear):
    """A linear with LoRA, or with N modules in a loop over one softmax of weights, as PEFT does it."""

    def adapt(self, method, rank=8, modules=8):
        n = modules if method == "learned" else 1
        self.a = torch.nn.ParameterList([torch.nn.Parameter(torch.randn(rank, self.in_features, device=DEVICE) * 0.02, method == "lora") for _ in range(n)])
        self.b = torch.nn.ParameterList([torch.nn.Parameter(torch.randn(self.out_features, rank, device=DEVICE) * 0.01, method == "lora") for _ in range(n)])
        self.v = torch.nn.Parameter(torch.zeros(n, device=DEVICE)) if method == "learned" else None

    def forward(self, x):
        y = super().forward(x)
        if not hasattr(self, "a"):
            return y
        weights = torch.softmax(self.v, 0) if self.v is not None else [1]
        for a, b, w in zip(self.a, self.b, weights):
            y = y + F.linear(F.linear(x, a), b) * w
        return y


class Block(torch.nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (Linear(width, width) for _ in range(4))
        self.up, self.down = Linear(width, inner), Linear(inner, width)

    def forward(self, x):
        b, t, c = x.shape
        n = self.norm1(x)
        q, k, v = (f(n).view(b, t, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Vit(torch.nn.Module):
    def __init__(self, size, patch, channels, width, layers, heads, inner, classes):
        super().__init__()
        self.patch = torch.nn.Conv2d(channels, width, patch, patch)
        self.cls = torch.nn.Parameter(torch.zeros(1, 1, width))
        self.position = torch.nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width) * 0.02)
        self.blocks = torch.nn.ModuleList([Block(width, heads, inner) for _ in range(layers)])
        self.norm, self.head = torch.nn.LayerNorm(width), Linear(width, classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def step(config, batch, method):
    model = Vit(*config).to(DEVICE)
    if method != "full":
        for p in model.parameters():
            p.requires_grad_(False)
    if method in ("lora", "learned"):
        for block in model.blocks:
            block.q.adapt(method)
            block.v.adapt(method)
    if method != "inference":
        for p in model.head.parameters():
            p.requires_grad_(True)
    images, labels = rand(batch, config[2], config[0], config[0]), torch.arange(batch, device=DEVICE) % config[-1]
    if method == "inference":
        def infer():
            with torch.no_grad():
                model(images).float().cpu()
        return infer
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)

    def run():
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        loss.item()
        optimiser.step()
        optimiser.zero_grad()
    return run


def gemm(m, k, n):
    x, w = rand(m, k), rand(n, k)
    return f"gemm {m} x {k} x {n}", lambda: F.linear(x, w)


def on(name, rows, cols, op):
    x = rand(rows, cols)
    return f"{name} {rows} x {cols}", lambda: op(x)


def attention(batch, length, heads, size, causal, backward):
    name = f"attention {batch} x {length}, {heads} heads of {size}{', causal' if causal else ''}{', and back' if backward else ''}"
    qkv, dy = rand(batch, length, 3 * heads * size), rand(batch, length, heads * size)
    qkv.requires_grad_(backward)

    def run():
        q, k, v = qkv.view(batch, length, 3, heads, size).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(batch, length, -1)
        if backward:
            y.backward(dy)
            qkv.grad = None
    return name, run


def works():
    for n in [256, 512] if QUICK else [512, 1024, 2048, 4096, 8192]:
        yield lambda n=n: gemm(n, n, n)
    for m, k, n in [(394, 192, 8)] if QUICK else [(12608, 768, 768), (12608, 768, 3072), (12608, 768, 8), (12608, 8, 768)]:
        yield lambda m=m, k=k, n=n: gemm(m, k, n)
    rows, cols = (394, 192) if QUICK else (12608, 3072)
    yield lambda: on("copy", rows, cols, torch.clone)
    yield lambda: on("add", rows, cols, lambda x: x + x)
    yield lambda: on("gelu", rows, cols, F.gelu)
    yield lambda: on("softmax", rows, cols, lambda x: F.softmax(x, -1))
    yield lambda: on("layer norm", rows, cols, lambda x: F.layer_norm(x, (cols,)))
    batch, heads = (2, 3) if QUICK else (64, 12)
    yield lambda: attention(batch, 197, heads, 64, False, False)
    yield lambda: attention(batch, 197, heads, 64, False, True)
    if not QUICK:
        yield lambda: attention(4, 2048, 16, 128, True, False)
    config, name, size = ((28, 7, 1, 96, 4, 4, 384, 72), "nano ViT", 32) if QUICK else ((224, 16, 3, 768, 12, 12, 3072, 100), "ViT-B/16", 64)
    yield lambda: (f"LoRA step, {name}, batch {size}", step(config, size, "lora"))
    yield lambda: (f"learned composition of 8 modules, {name}, batch {size}", step(config, size, "learned"))
    yield lambda: (f"full fine-tuning step, {name}, batch {size}", step(config, size, "full"))
    yield lambda: (f"inference, {name}, batch {size}", step(config, size, "inference"))


def main():
    rows = []
    for precision in PRECISIONS:
        tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        for make in works():
            name, run = make()
            if precision == "bf16":
                plain = run

                def run(plain=plain):
                    with torch.autocast(DEVICE, torch.bfloat16):
                        plain()
            rows.append({"work": name, "precision": precision, "ms": measure(run)})
            del run
            if DEVICE == "cuda":
                torch.cuda.empty_cache()
    what = torch.cuda.get_device_name() if DEVICE == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    json.dump({"who": f"PyTorch {torch.__version__}, {what}", "rows": rows}, sys.stdout)


main()
