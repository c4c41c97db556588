using System.Text.Json;

namespace NanoLora.Experiments.Verification;

/// <summary>How each operation of the golden vectors is run on the engine: a line an operation, which returns the output y and notes further outputs.</summary>
internal static class OpCases
{
    private static readonly Dictionary<string, Func<OpCase, Tensor?>> Table = new(StringComparer.Ordinal)
    {
        ["matmul"] = static c => c.In("a").MatMul(c.In("b"), c.Bool("transpose_a"), c.Bool("transpose_b")),
        ["linear"] = static c => c.In("x").Linear(c.In("w"), c.Maybe("bias")),

        ["layernorm"] = static c => c.In("x").LayerNorm(c.Maybe("w"), c.Maybe("bias"), c.Float("eps")),
        ["rmsnorm"] = static c => c.In("x").RmsNorm(c.Maybe("w"), c.HasParam("eps") ? c.Float("eps") : 1e-6f, shiftedWeight: c.HasParam("weight")),

        ["softmax"] = static c => (c.Has("mask") ? c.In("x") + c.In("mask") : c.In("x")).Softmax(c.Int("axis")),
        ["log_softmax"] = static c => c.In("x").LogSoftmax(c.Int("axis")),

        ["gelu"] = static c => c.In("x").Gelu(),
        ["gelu_tanh"] = static c => c.In("x").GeluTanh(),
        ["quick_gelu"] = static c => c.In("x").QuickGelu(),
        ["silu"] = static c => c.In("x").Silu(),
        ["relu"] = static c => c.In("x").Relu(),
        ["sigmoid"] = static c => c.In("x").Sigmoid(),
        ["tanh"] = static c => c.In("x").Tanh(),
        ["exp"] = static c => c.In("x").Exp(),
        ["log"] = static c => c.In("x").Log(),
        ["sqrt"] = static c => c.In("x").Sqrt(),
        ["rsqrt"] = static c => c.In("x").Rsqrt(),
        ["square"] = static c => c.In("x").Square(),
        ["neg"] = static c => -c.In("x"),
        ["abs"] = static c => c.In("x").Abs(),
        ["softplus"] = static c => c.In("x").Softplus(),
        ["erf"] = static c => c.In("x").Erf(),
        ["swiglu"] = static c => c.In("gate").Swiglu(c.In("up")),
        ["geglu"] = static c => c.In("gate").Geglu(c.In("up")),
        ["geglu_tanh"] = static c => c.In("gate").GegluTanh(c.In("up")),
        ["reglu"] = static c => c.In("gate").Reglu(c.In("up")),
        ["add"] = static c => c.In("a") + c.In("b"),
        ["sub"] = static c => c.In("a") - c.In("b"),
        ["mul"] = static c => c.Has("b") ? c.In("a") * c.In("b") : c.In("a") * c.In("a") + c.In("a"),
        ["div"] = static c => c.In("a") / c.In("b"),
        ["dropout"] = static c => (c.In("x") * c.In("keep")).Scale(1 / (1 - c.Float("p"))),   // with the mask given, as the formula has it

        ["embedding"] = static c => c.In("w").Embedding(c.In("ids"), c.MaybeInt("padding_idx")),
        ["cross_entropy"] = static c =>
            c.In("x").CrossEntropy(c.In("target"), Reduced(c), c.Int("ignore_index"), c.Float("label_smoothing"), c.Maybe("weight")),
        ["attention"] = static c => c.In("q").Attention(c.In("k"), c.In("v"),
            new AttentionOptions(c.Bool("causal"), c.MaybeInt("window") ?? 0, c.MaybeFloat("softcap") ?? 0, c.MaybeFloat("scale")), c.Maybe("mask")),

        ["rope"] = Rope,
        ["patch_embedding"] = static c => c.In("x").Patches(c.Int("patch")).Linear(c.In("w").Reshape(c.In("w").Shape[0], -1), c.Maybe("bias")),

        ["sum"] = static c => c.In("x").Sum(c.IntList("axes"), c.Bool("keepdim")),
        ["mean"] = static c => c.In("x").Mean(c.IntList("axes"), c.Bool("keepdim")),
        ["max"] = Max,
        ["amax"] = static c => c.In("x").AMax(c.Int("axis")),
        ["argmax"] = ArgMax,
        ["concat"] = Concat,
        ["slice"] = static c => c.In("x").Slice(c.Int("axis"), c.Int("start"), c.Int("stop")),
        ["permute"] = static c => c.In("x").Permute(c.IntList("permutation")),
        ["transpose"] = static c => c.In("x").Transpose(),
        ["reshape"] = Reshape,

        ["lora_linear"] = static c => c.In("x").LoraStack(c.In("x").Linear(c.In("w"), c.Maybe("bias")), c.In("a"), c.In("b"), c.Float("scale")),
        ["lora_mix_uniform"] = static c => Mix(c, Uniform(c)),
        ["lora_mix_learned"] = Learned,
        ["lora_mix_trained"] = static c => Mix(c, c.In("v").Softmax()),
        ["lora_mix_per_row"] = static c => Mix(c, c.In("weights")),

        ["cast"] = Cast,
    };

    /// <summary>How an operation is run.</summary>
    /// <exception cref="NotBuiltException">The engine has no such operation.</exception>
    internal static Func<OpCase, Tensor?> Find(string op) => Table.TryGetValue(op, out var run) ? run : throw new NotBuiltException(op);

    private static Tensor Max(OpCase c)
    {
        var y = c.In("x").Max(c.Int("axis"), out var index);
        c.Output("index", index);
        return y;
    }

    private static Tensor? ArgMax(OpCase c)
    {
        c.Output("index", c.In("x").ArgMax(c.Int("axis")));
        return null;
    }

    private static Tensor Concat(OpCase c)
    {
        if (c.HasParam("formula")) return Formula(c, "cat(x, 2x, x)") ? Tensor.Concat(c.Int("axis"), c.In("x0"), c.In("x0") * 2, c.In("x0")) : throw Unknown(c);
        var parts = new List<Tensor>();
        while (c.Has($"x{parts.Count}")) parts.Add(c.In($"x{parts.Count}"));
        return Tensor.Concat(c.Int("axis"), [.. parts]);
    }

    private static Tensor Reshape(OpCase c)
    {
        var x = c.In("x");
        if (c.HasParam("to")) return x.Reshape(c.IntList("to"));
        if (Formula(c, "reshape(transpose(x, 0, 1), [15, 4])")) return x.Permute(1, 0, 2).Reshape(15, 4);
        if (Formula(c, "[B, T, H D] to [B, H, T, D]")) return x.Reshape(x.Shape[0], x.Shape[1], c.ShapeOf("y")[1], -1).Permute(0, 2, 1, 3);
        throw Unknown(c);
    }

    private static Reduction Reduced(OpCase c) => c.Text("reduction") switch
    {
        "mean" => Reduction.Mean,
        "sum" => Reduction.Sum,
        "none" => Reduction.None,
        var other => throw new NotBuiltException($"cross_entropy with the reduction \"{other}\""),
    };

    // The frequencies are the engine's own, made from the parameters; they are compared too.
    private static Tensor Rope(OpCase c)
    {
        var frequencies = c.HasParam("rope_parameters")
            ? Scaled(c, c.Object("rope_parameters"))
            : RopeFrequencies.Default(c.Int("rotary_dim"), c.Double("theta"));
        c.Judged("inv_freq", Comparison.Of(frequencies.Inverse, c.Floats("inv_freq"), 0, 1e-6));
        c.Judged("factor", Comparison.Of([frequencies.Factor], [c.Float("factor_on_cos_and_sin")], 0, 1e-6));
        return c.In("x").Rope(c.In("positions"), frequencies, c.Text("style") switch
        {
            "half" => RopeStyle.Half,
            "interleaved" => RopeStyle.Interleaved,
            var other => throw new NotBuiltException($"rope of the style \"{other}\""),
        });
    }

    private static RopeFrequencies Scaled(OpCase c, JsonElement rope)
    {
        double Number(string name) => rope.GetProperty(name).GetDouble();
        double? Maybe(string name) => rope.TryGetProperty(name, out var value) ? value.GetDouble() : null;
        double[] List(string name) => [.. rope.GetProperty(name).EnumerateArray().Select(static e => e.GetDouble())];
        var (rotary, theta, factor) = (c.Int("rotary_dim"), Number("rope_theta"), Number("factor"));
        var trained = (int)(Maybe("original_max_position_embeddings") ?? c.Int("max_position_embeddings"));
        return rope.GetProperty("rope_type").GetString() switch
        {
            "linear" => RopeFrequencies.Linear(rotary, theta, factor),
            "dynamic" => RopeFrequencies.Dynamic(rotary, theta, factor, trained, c.Int("sequence_length_given")),
            "llama3" => RopeFrequencies.Llama3(rotary, theta, factor, trained, Number("low_freq_factor"), Number("high_freq_factor")),
            "yarn" => RopeFrequencies.Yarn(rotary, theta, factor, trained, Maybe("beta_fast") ?? 32, Maybe("beta_slow") ?? 1, Maybe("attention_factor")),
            "longrope" => RopeFrequencies.LongRope(rotary, theta, factor, trained, c.Int("sequence_length_given"), List("short_factor"),
                List("long_factor"), Maybe("attention_factor")),
            var other => throw new NotBuiltException($"rope frequencies of the type \"{other}\""),
        };
    }

    // The modules as one stack: A_n one below the other, s_n B_n side by side, and which module owns each row.
    private static Tensor Mix(OpCase c, Tensor weights)
    {
        var (ranks, scales) = (c.IntList("ranks"), c.FloatList("scales"));
        Tensor[] a = new Tensor[ranks.Length], b = new Tensor[ranks.Length];
        var owner = new List<int>();
        for (var n = 0; n < ranks.Length; n++)
        {
            (a[n], b[n]) = (c.In($"a{n}"), c.In($"b{n}").Scale(scales[n]));
            owner.AddRange(Enumerable.Repeat(n, ranks[n]));
        }
        var x = c.In("x");
        var y = x.Linear(c.In("w"), c.Maybe("bias"));
        return x.LoraStack(y, Tensor.Concat(0, a), Tensor.Concat(1, b), 1, weights, c.Workspace.From(owner.ToArray(), new Shape(owner.Count)));
    }

    private static Tensor Uniform(OpCase c)
    {
        var n = c.Int("modules");
        var weights = new float[n];
        Array.Fill(weights, 1f / n);
        return c.Workspace.From(weights, new Shape(n));
    }

    private static Tensor Learned(OpCase c)
    {
        var weights = c.In("v").Softmax();
        c.Output("weights", weights);
        return Mix(c, weights);
    }

    // To a smaller float and back; what is stored is compared bit by bit, where any pattern of NaN will do.
    private static Tensor? Cast(OpCase c)
    {
        if (c.HasParam("from"))
        {
            var bits = c.Bytes("bits");
            var stored = c.Workspace.New(c.ShapeOf("bits"), Small(c, "from"));
            stored.Backend.Upload<byte>(bits, stored);
            c.Output("back", stored.Cast(DType.F32));
            return null;
        }
        var low = c.In("x").Cast(Small(c, "to"));
        var got = new byte[low.Count * low.DType.Bytes()];
        low.Backend.Download<byte>(low, got);
        c.Judged("low", SameBits(got, c.Bytes("low"), low.DType));
        c.Output("back", low.Cast(DType.F32));
        return null;
    }

    private static DType Small(OpCase c, string param) => c.Text(param) switch
    {
        "bf16" => DType.BF16,
        "f16" => DType.F16,
        "f8_e4m3" => DType.F8E4M3,
        "f8_e5m2" => DType.F8E5M2,
        var other => throw new NotBuiltException($"cast {param} {other}"),
    };

    private static Comparison SameBits(byte[] got, byte[] want, DType type)
    {
        if (got.Length != want.Length) return Comparison.Fail($"{got.Length} bytes where {want.Length} are expected");
        var size = type.Bytes();
        for (var i = 0; i < got.Length / size; i++)
        {
            int g = size == 2 ? BitConverter.ToUInt16(got, 2 * i) : got[i], w = size == 2 ? BitConverter.ToUInt16(want, 2 * i) : want[i];
            if (g != w && !(IsNaN(g, type) && IsNaN(w, type))) return Comparison.Fail($"element {i} is 0x{g:x}, not 0x{w:x}");
        }
        return new Comparison(true, 0, 0);
    }

    private static bool IsNaN(int bits, DType type) => type switch
    {
        DType.BF16 => (bits & 0x7fff) > 0x7f80,
        DType.F16 => (bits & 0x7fff) > 0x7c00,
        DType.F8E4M3 => (bits & 0x7f) == 0x7f,
        _ => (bits & 0x7f) > 0x7c,
    };

    private static bool Formula(OpCase c, string formula) => c.Text("formula") == formula;

    private static NotBuiltException Unknown(OpCase c) => new($"{c.Op} by the formula \"{c.Text("formula")}\"");
}
