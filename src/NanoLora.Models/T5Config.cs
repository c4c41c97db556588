using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// What a <see cref="T5"/> is made of. The defaults are those of T5 1.1: gated MLPs, a head of its own, and what enters it as it is.
/// </summary>
public sealed record T5Config
{
    /// <summary>The number of tokens, V.</summary>
    public int Vocabulary { get; init; } = 32128;

    /// <summary>The width of a token, D.</summary>
    public int HiddenSize { get; init; } = 512;

    /// <summary>The number of heads, H.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>The width of a head; H heads need not make the width of a token.</summary>
    public int HeadSize { get; init; } = 64;

    /// <summary>The width within an MLP.</summary>
    public int IntermediateSize { get; init; } = 1024;

    /// <summary>The number of blocks that read.</summary>
    public int EncoderLayers { get; init; } = 8;

    /// <summary>The number of blocks that write.</summary>
    public int DecoderLayers { get; init; } = 8;

    /// <summary>How many kinds of distance between two tokens there are.</summary>
    public int Buckets { get; init; } = 32;

    /// <summary>The distance from which on all are of one kind; above half of the buckets.</summary>
    public int MaxDistance { get; init; } = 128;

    /// <summary>The function of an MLP, or of its gate.</summary>
    public Activation Activation { get; init; } = Activation.GeluTanh;

    /// <summary>Whether MLPs have a gate.</summary>
    public bool Gated { get; init; } = true;

    /// <summary>Added to the mean square in the norms.</summary>
    public float Eps { get; init; } = 1e-6f;

    /// <summary>The token that every text to be written begins with; files call it the padding too.</summary>
    public int StartToken { get; init; }

    /// <summary>The token that ends a text.</summary>
    public int EndToken { get; init; } = 1;

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedHead { get; init; }

    /// <summary>Whether what enters the head is divided by √D.</summary>
    public bool ScaledHead { get; init; }

    /// <summary>What the deviations of a new model's weights are multiplied by; see <see cref="T5.Create"/>.</summary>
    public float InitialFactor { get; init; } = 1;

    /// <summary>
    /// The bucket of a distance, key minus query: one each for the nearest, then wider and wider ones. The reference takes the logarithm in F32.
    /// </summary>
    internal int Bucket(int distance, bool bidirectional)
    {
        var (first, count) = bidirectional ? (distance > 0 ? Buckets / 2 : 0, Buckets / 2) : (0, Buckets);
        var d = bidirectional ? Math.Abs(distance) : Math.Max(0, -distance);
        var exact = count / 2;
        if (d < exact) return first + d;
        var wider = MathF.Log((float)d / exact) / (float)Math.Log((double)MaxDistance / exact) * (count - exact);
        return first + Math.Min(exact + (int)wider, count - 1);
    }

    /// <summary>The same, if a model can be made of it.</summary>
    /// <exception cref="ArgumentException">It cannot: the field is named.</exception>
    internal T5Config Checked(string source)
    {
        foreach (var (name, value, least) in (ReadOnlySpan<(string, int, int)>)[
            (nameof(Vocabulary), Vocabulary, 1), (nameof(HiddenSize), HiddenSize, 1), (nameof(Heads), Heads, 1), (nameof(HeadSize), HeadSize, 1),
            (nameof(IntermediateSize), IntermediateSize, 1), (nameof(EncoderLayers), EncoderLayers, 1), (nameof(DecoderLayers), DecoderLayers, 1),
            (nameof(Buckets), Buckets, 4), (nameof(MaxDistance), MaxDistance, Buckets / 2 + 1)])
        {
            if (value < least) throw new ArgumentException($"{source}: T5Config.{name} is {value}; it must be {least} at least.");
        }
        if ((long)Heads * HeadSize > int.MaxValue) throw new ArgumentException($"{source}: {Heads} heads of {HeadSize} make an axis beyond 2^31 - 1.");
        foreach (var (name, token) in (ReadOnlySpan<(string, int)>)[(nameof(StartToken), StartToken), (nameof(EndToken), EndToken)])
            if ((uint)token >= (uint)Vocabulary) throw new ArgumentException($"{source}: T5Config.{name} {token} is none of the {Vocabulary} tokens.");
        if (Gated && Activation is (Activation.QuickGelu or Activation.Gelu))
            throw new ArgumentException($"{source}: files of a T5 have no gate of {Activation}; GeluTanh is what they call gated-gelu.");
        if (!(InitialFactor > 0)) throw new ArgumentException($"{source}: T5Config.InitialFactor is {InitialFactor}; it must be positive.");
        return this;
    }
}
