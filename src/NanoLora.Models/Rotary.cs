using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>How rotary positions are stretched beyond the length that a model was trained on; <see cref="RopeFrequencies"/> has the formulas.</summary>
public enum RotaryScaling
{
    /// <summary>Not at all.</summary>
    None,
    /// <summary>All frequencies are divided.</summary>
    Linear,
    /// <summary>The base grows with the text.</summary>
    Dynamic,
    /// <summary>Long wavelengths are stretched.</summary>
    Llama3,
    /// <summary>Slow pairs are stretched.</summary>
    Yarn,
    /// <summary>Each pair has a factor, one for short texts and one for long.</summary>
    LongRope,
}

/// <summary>How a model turns its queries and keys by their positions.</summary>
public sealed record RotaryConfig
{
    /// <summary>The base θ.</summary>
    public double Theta { get; init; } = 10000;

    /// <summary>The part of each head that turns.</summary>
    public double Part { get; init; } = 1;

    /// <summary>How it is stretched.</summary>
    public RotaryScaling Scaling { get; init; }

    /// <summary>How far.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>The length trained on.</summary>
    public int Trained { get; init; }

    /// <summary>Llama 3: pairs that turn this often within that length or less are stretched. YaRN: the same.</summary>
    public double Slow { get; init; } = 1;

    /// <summary>Llama 3: pairs that turn this often or more are left. YaRN: the same.</summary>
    public double Fast { get; init; } = 32;

    /// <summary>The factor on cosines and sines, or null for the one of the formula.</summary>
    public double? AttentionFactor { get; init; }

    /// <summary>YaRN: whether the ramp begins and ends at whole pairs.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>LongRope: a divisor for each pair in short texts.</summary>
    public IReadOnlyList<double> ShortFactors { get; init; } = [];

    /// <summary>LongRope: a divisor for each pair in long texts.</summary>
    public IReadOnlyList<double> LongFactors { get; init; } = [];

    /// <summary>How many elements of a head turn.</summary>
    internal int Turning(int headSize) => (int)(headSize * Part);
}

/// <summary>The frequencies of a model's heads, by the length of the text.</summary>
internal sealed class Rotary(RotaryConfig config, int headSize)
{
    private readonly RopeFrequencies _short = Make(config, headSize, 0), _long = Make(config, headSize, int.MaxValue);

    /// <summary>The frequencies in a text of so many tokens.</summary>
    public RopeFrequencies For(int length) => length <= config.Trained ? _short
        : config.Scaling == RotaryScaling.Dynamic ? Make(config, headSize, length)
        : config.Scaling == RotaryScaling.LongRope ? _long
        : _short;

    /// <summary>
    /// Whether all frequencies change between the two lengths, so that keys in a cache are of no use. Where the base grows with every token they stay as
    /// they were turned, as in the reference.
    /// </summary>
    public bool Changes(int before, int after) => config.Scaling == RotaryScaling.LongRope && before <= config.Trained != (after <= config.Trained);

    private static RopeFrequencies Make(RotaryConfig c, int headSize, int length)
    {
        var r = c.Turning(headSize);
        return c.Scaling switch
        {
            RotaryScaling.Linear => RopeFrequencies.Linear(r, c.Theta, c.Factor),
            RotaryScaling.Dynamic => RopeFrequencies.Dynamic(r, c.Theta, c.Factor, c.Trained, length),
            RotaryScaling.Llama3 => RopeFrequencies.Llama3(r, c.Theta, c.Factor, c.Trained, c.Slow, c.Fast),
            RotaryScaling.Yarn => RopeFrequencies.Yarn(r, c.Theta, c.Factor, c.Trained, c.Fast, c.Slow, c.AttentionFactor, c.Truncate),
            RotaryScaling.LongRope => RopeFrequencies.LongRope(r, c.Theta, c.Factor, c.Trained, length, c.ShortFactors, c.LongFactors, c.AttentionFactor),
            _ => RopeFrequencies.Default(r, c.Theta),
        };
    }
}
