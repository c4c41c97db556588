using System.Diagnostics;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.GpuBundle;

/// <summary>One thing that is measured; torch_bench.py does the same under the same name.</summary>
/// <param name="Name">What it is called here and there.</param>
/// <param name="Flops">Operations of one run, or 0.</param>
/// <param name="Bytes">Bytes that one run has to read and write, or 0.</param>
/// <param name="Make">Sets it up on a device; what comes back runs it once.</param>
internal sealed record Work(string Name, double Flops, double Bytes, Func<GpuBackend, IDisposable> Setup, Func<IDisposable, Action> Make)
{
    /// <summary>The median of a run, in milliseconds: as many as fit half a second, five at least.</summary>
    public double Measure(GpuBackend device)
    {
        using var state = Setup(device);
        var run = Make(state);
        run();
        run();
        device.Synchronize();
        var clock = Stopwatch.StartNew();
        run();
        device.Synchronize();
        // Short runs are timed several at a time: waiting for the device costs some microseconds.
        var together = Math.Clamp((int)(0.02 / Math.Max(1e-6, clock.Elapsed.TotalSeconds)), 1, 1000);
        var times = new List<double>();
        var total = Stopwatch.StartNew();
        while (times.Count < 5 || (total.Elapsed.TotalSeconds < 0.5 && times.Count < 50))
        {
            clock.Restart();
            for (var i = 0; i < together; i++) run();
            device.Synchronize();
            times.Add(clock.Elapsed.TotalMilliseconds / together);
        }
        times.Sort();
        return times[times.Count / 2];
    }

    /// <summary>Its speed, in the unit that fits.</summary>
    public string Speed(double milliseconds) => Flops > 0 ? $"{Flops / milliseconds / 1e6:0} GFLOP/s" : Bytes > 0 ? $"{Bytes / milliseconds / 1e6:0} GB/s" : "";
}

/// <summary>Everything that is measured.</summary>
internal static class Works
{
    public static readonly VitConfig Nano = new()
    {
        ImageSize = 28, PatchSize = 7, Channels = 1, HiddenSize = 96, Layers = 4, Heads = 4, IntermediateSize = 384, Labels = Names(72)
    };

    public static readonly VitConfig Base = new()
    {
        HiddenSize = 768, Layers = 12, Heads = 12, IntermediateSize = 3072, Pooling = Pooling.Cls, Labels = Names(100)
    };

    /// <summary>All of them; the quick ones are small enough for a processor.</summary>
    public static IEnumerable<Work> All(bool quick)
    {
        foreach (var n in quick ? [256, 512] : (int[])[512, 1024, 2048, 4096, 8192]) yield return Gemm(n, n, n);
        foreach (var (m, k, n) in quick ? [(394, 192, 8)] : ((int, int, int)[])[(12608, 768, 768), (12608, 768, 3072), (12608, 768, 8), (12608, 8, 768)])
            yield return Gemm(m, k, n);
        var (rows, cols) = quick ? (394, 192) : (12608, 3072);
        var size = 4.0 * rows * cols;
        yield return OnTensor("copy", rows, cols, 2 * size, static x => x.Scale(1));
        yield return OnTensor("add", rows, cols, 3 * size, static x => x + x);
        yield return OnTensor("gelu", rows, cols, 2 * size, static x => x.Gelu());
        yield return OnTensor("softmax", rows, cols, 2 * size, static x => x.Softmax());
        yield return OnTensor("layer norm", rows, cols, 2 * size, static x => x.LayerNorm(null, null));
        yield return Attention(quick ? 2 : 64, 197, quick ? 3 : 12, 64, causal: false, backward: false);
        yield return Attention(quick ? 2 : 64, 197, quick ? 3 : 12, 64, causal: false, backward: true);
        if (!quick) yield return Attention(4, 2048, 16, 128, causal: true, backward: false);
        var (vit, name, batch) = quick ? (Nano, "nano ViT", 32) : (Base, "ViT-B/16", 64);
        yield return Step($"LoRA step, {name}, batch {batch}", vit, batch, "lora");
        yield return Step($"learned composition of 8 modules, {name}, batch {batch}", vit, batch, "learned");
        yield return Step($"full fine-tuning step, {name}, batch {batch}", vit, batch, "full");
        yield return Step($"inference, {name}, batch {batch}", vit, batch, "inference");
    }

    private static string[] Names(int count) => [.. Enumerable.Range(0, count).Select(static i => $"{i}")];

    private static Work Gemm(int m, int k, int n) => new($"gemm {m} x {k} x {n}", 2.0 * m * k * n, 0,
        device => new Tensors(Random(device, 1, m, k), Random(device, 2, n, k)),
        static state => { var t = (Tensors)state; return () => t.Keep(t[0].Linear(t[1])); });

    private static Work OnTensor(string op, int rows, int cols, double bytes, Func<Tensor, Tensor> run) => new($"{op} {rows} x {cols}", 0, bytes,
        device => new Tensors(Random(device, 1, rows, cols)), state => { var t = (Tensors)state; return () => t.Keep(run(t[0])); });

    private static Work Attention(int batch, int length, int heads, int size, bool causal, bool backward)
    {
        var flops = 4.0 * batch * heads * length * length * size * (causal ? 0.5 : 1) * (backward ? 3.5 : 1);
        return new($"attention {batch} x {length}, {heads} heads of {size}{(causal ? ", causal" : "")}{(backward ? ", and back" : "")}", flops, 0,
            device => new Tensors(Random(device, 1, batch, length, 3 * heads * size), Random(device, 2, batch, length, heads * size)), state =>
            {
                var t = (Tensors)state;
                var parameter = backward ? t.Own(new Parameter(t[0]) { Trains = true }) : null;
                return () =>
                {
                    using var scope = t[0].Backend.Scope(grad: backward);
                    var y = (parameter?.Value ?? t[0]).SelfAttention(heads, new AttentionOptions(causal));
                    if (!backward) return;
                    y.Backward(t[1]);
                    parameter!.ClearGradient();
                };
            });
    }

    private static Work Step(string name, VitConfig config, int batch, string method) =>
        new(name, 0, 0, device => new VitStep(device, config, batch, method), static state => ((VitStep)state).Run);

    public static Tensor Random(GpuBackend device, ulong seed, params int[] shape)
    {
        var values = new float[shape.Aggregate(1, static (a, b) => a * b)];
        var random = new Philox(seed, 1);
        Parallel.For(0, (values.Length + 65535) / 65536, part =>
        {
            for (var i = part * 65536; i < Math.Min(values.Length, (part + 1) * 65536); i++) values[i] = random.Uniform((ulong)i) - 0.5f;
        });
        return device.Main.From(values, new Shape(shape));
    }

    /// <summary>The operands of a work and its last result, which goes before the next is made.</summary>
    private sealed class Tensors(params Tensor[] tensors) : IDisposable
    {
        private Tensor? _result;
        private Parameter? _parameter;

        public Tensor this[int i] => tensors[i];

        public void Keep(Tensor result)
        {
            _result?.Dispose();
            _result = result;
        }

        public Parameter Own(Parameter parameter) => _parameter = parameter;

        public void Dispose()
        {
            _result?.Dispose();
            _parameter?.Dispose();
            foreach (var tensor in tensors) tensor.Dispose();
        }
    }
}

/// <summary>A step of training on a batch that lies on the device: forward, cross entropy, backward, AdamW.</summary>
internal sealed class VitStep : IDisposable
{
    private const int Modules = 8, Rank = 8;

    private readonly GpuBackend _device;
    private readonly Vit _vit;
    private readonly Tensor _images, _labels;
    private readonly AdamW? _optimiser;
    private readonly List<LoraModule> _modules = [];

    public VitStep(GpuBackend device, VitConfig config, int batch, string method)
    {
        _device = device;
        _vit = Vit.Create(config, device, seed: 1);
        _images = Works.Random(device, 3, batch, config.Channels, config.ImageRows, config.ImageColumns);
        _labels = device.Main.From([.. Enumerable.Range(0, batch).Select(i => i % config.Labels.Count)], new Shape(batch));
        var pattern = _vit.Linears().Any(static l => l.Key.Contains("qkv", StringComparison.Ordinal)) ? "*qkv" : "*.attn.(q|v)";
        if (method == "lora") _modules.Add(Attach.Lora(_vit, pattern, rank: Rank, seed: 1));
        if (method == "learned")
        {
            for (var n = 0; n < Modules; n++)
            {
                var module = Attach.Lora(_vit, pattern, rank: Rank, seed: (ulong)n);
                foreach (var (path, update) in module.Updates)
                {
                    var random = new Philox((ulong)n, Philox.StreamOf(path));
                    device.Upload<float>([.. Enumerable.Range(0, update.B.Value.Count).Select(i => 0.01f * random.Normal((ulong)i))], update.B.Value);
                }
                Attach.Detach(_vit, dispose: false);
                _modules.Add(module);
            }
            Compose.Learned(_vit, _modules);
        }
        if (method == "inference") return;
        if (method == "full") _vit.Train();
        _vit.Head!.Train();
        _optimiser = new AdamW([.. _vit.Trained().Select(static p => new Trained(p.Value, p.Key, 1e-3, 0.01))]);
    }

    public void Run()
    {
        using var step = _device.Scope(grad: _optimiser is not null);
        var logits = _vit.Forward(_images);
        if (_optimiser is null) { logits.ToArray(); return; }
        var loss = logits.CrossEntropy(_labels);
        loss.Backward();
        loss.Item();
        _optimiser.Step(1);
        _optimiser.ClearGradients();
    }

    public void Dispose()
    {
        _optimiser?.Dispose();
        _images.Dispose();
        _labels.Dispose();
        _vit.Dispose();
        foreach (var module in _modules) module.Dispose();
    }
}
