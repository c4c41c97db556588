using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// What a model of the Llama kind is made of: RMS norms, rotary positions, grouped keys, a gated MLP. The defaults are Llama's; other families set what
/// theirs have. A new model of this kind is a new config.
/// </summary>
public sealed record LlamaConfig
{
    /// <summary>The number of tokens, V.</summary>
    public int Vocabulary { get; init; } = 32000;

    /// <summary>The width of a token, D.</summary>
    public int HiddenSize { get; init; } = 512;

    /// <summary>The number of blocks.</summary>
    public int Layers { get; init; } = 8;

    /// <summary>The number of query heads, H.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>The number of key heads, a divisor of H; 0 for as many.</summary>
    public int KeyHeads { get; init; }

    /// <summary>The width of a head; 0 for D over the number of heads.</summary>
    public int HeadSize { get; init; }

    /// <summary>The width within an MLP.</summary>
    public int IntermediateSize { get; init; } = 1376;

    /// <summary>The longest text that it is made for.</summary>
    public int MaxPositions { get; init; } = 2048;

    /// <summary>The function of an MLP's gate.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>Added to the mean square in the norms.</summary>
    public float Eps { get; init; } = 1e-6f;

    /// <summary>How positions turn queries and keys.</summary>
    public RotaryConfig Rotary { get; init; } = new();

    /// <summary>The same in layers with a window, or null where they do alike.</summary>
    public RotaryConfig? LocalRotary { get; init; }

    /// <summary>How many keys the queries of each layer see, their own included; 0 for all; empty for all in all layers.</summary>
    public IReadOnlyList<int> Windows { get; init; } = [];

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedHead { get; init; }

    /// <summary>Whether queries, keys and values come from one linear.</summary>
    public bool FusedQkv { get; init; }

    /// <summary>Whether gate and value of an MLP come from one linear.</summary>
    public bool FusedGate { get; init; }

    /// <summary>Whether the linears of queries, keys and values have a bias.</summary>
    public bool QkvBias { get; init; }

    /// <summary>Whether the linear after attention has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Whether the linears of MLPs have a bias.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Whether each head of queries and keys is normed.</summary>
    public bool QkNorm { get; init; }

    /// <summary>Whether norms scale by 1 + w.</summary>
    public bool ShiftedNorms { get; init; }

    /// <summary>Whether a norm stands after attention and MLP as well as before them.</summary>
    public bool PostNorms { get; init; }

    /// <summary>Multiplies the embeddings.</summary>
    public float EmbeddingScale { get; init; } = 1;

    /// <summary>Multiplies q kᵀ; null for 1 / √(head size).</summary>
    public float? AttentionScale { get; init; }

    /// <summary>Scores are bent by cap · tanh(s / cap); 0 for not at all.</summary>
    public float AttentionCap { get; init; }

    /// <summary>The same of logits.</summary>
    public float LogitCap { get; init; }

    /// <summary>The window of a layer.</summary>
    internal int WindowOf(int layer) => Windows.Count == 0 ? 0 : Windows[layer];

    /// <summary>Refuses sizes that do not go together, and fills in those that follow from others.</summary>
    /// <exception cref="ArgumentException">A size is not positive, does not divide another, or is too large.</exception>
    internal LlamaConfig Checked(string source)
    {
        var c = this with { KeyHeads = KeyHeads == 0 ? Heads : KeyHeads, HeadSize = HeadSize == 0 && Heads > 0 ? HiddenSize / Heads : HeadSize };
        foreach (var (name, value) in (ReadOnlySpan<(string, int)>)[
            (nameof(Vocabulary), c.Vocabulary), (nameof(HiddenSize), c.HiddenSize), (nameof(Layers), c.Layers), (nameof(Heads), c.Heads),
            (nameof(KeyHeads), c.KeyHeads), (nameof(HeadSize), c.HeadSize), (nameof(IntermediateSize), c.IntermediateSize),
            (nameof(MaxPositions), c.MaxPositions)])
        {
            if (value < 1) throw new ArgumentException($"{source}: LlamaConfig.{name} is {value}; it must be 1 at least.");
        }
        if (HeadSize == 0 && HiddenSize % Heads != 0) throw new ArgumentException($"{source}: a width of {HiddenSize} does not divide into {Heads} heads.");
        if (c.Heads % c.KeyHeads != 0) throw new ArgumentException($"{source}: {c.Heads} heads of queries do not divide among {c.KeyHeads} of keys.");
        if ((c.Heads + 2L * c.KeyHeads) * c.HeadSize > int.MaxValue || 2L * IntermediateSize > int.MaxValue)
            throw new ArgumentException($"{source}: {c.Heads} heads of {c.HeadSize}, or an MLP of {IntermediateSize}, make an axis beyond 2^31 - 1.");
        if ((Windows.Count != 0 && Windows.Count != Layers) || Windows.Any(static window => window < 0))
            throw new ArgumentException($"{source}: windows of {string.Join(", ", Windows.Take(8))} for {Layers} layers; each layer has one of 0 or more.");
        if (Activation == Activation.QuickGelu) throw new ArgumentException($"{source}: {Activation} has no gated form.");
        foreach (var rotary in (ReadOnlySpan<RotaryConfig>)[Rotary, LocalRotary ?? Rotary])
        {
            var turning = rotary.Turning(c.HeadSize);
            if (turning < 2 || turning % 2 != 0 || turning > c.HeadSize)
                throw new ArgumentException($"{source}: {rotary.Part} of a head of {c.HeadSize} elements makes no pairs that turn.");
        }
        return c;
    }
}
