namespace NanoLora;

// How fast the pairs of a head turn:   f_j = θ^(-2j / r),   j < r / 2
// The ways to stretch it beyond the length it was trained on are those of Hugging Face's config.json, under the same names:
//     linear     f / s
//     dynamic    θ grows with the text:  θ' = θ (s L / M - (s - 1))^(r / (r - 2)),   L the longer of the text and M, the length trained on
//     llama3     wavelengths 2π / f above M / low: f / s;   below M / high: f;   between, a blend
//     yarn       pairs that turn β_fast times or more within M: f;   β_slow times or fewer: f / s;   between, a ramp   (Peng et al. 2023)
//     longrope   f divided by a searched factor per pair, one set for short texts and one for long   (Ding et al. 2024)

/// <summary>The inverse frequencies of rotary positions, one for each pair that turns, and the factor on cosines and sines.</summary>
public sealed class RopeFrequencies
{
    private readonly float[] _inverse;

    /// <summary>Frequencies as given.</summary>
    public RopeFrequencies(ReadOnlySpan<float> inverse, float factor = 1) => (_inverse, Factor) = (inverse.ToArray(), factor);

    private RopeFrequencies(int rotary, double factor, Func<int, double> frequency)
    {
        if (rotary < 2 || rotary % 2 != 0) throw new ArgumentException($"RopeFrequencies: {rotary} elements do not make pairs.");
        _inverse = new float[rotary / 2];
        for (var j = 0; j < _inverse.Length; j++) _inverse[j] = (float)frequency(j);
        Factor = (float)factor;
    }

    /// <summary>f_j in radians a position.</summary>
    public ReadOnlySpan<float> Inverse => _inverse;

    /// <summary>Multiplies cosines and sines.</summary>
    public float Factor { get; }

    /// <summary>How many elements of a head turn: two for each frequency.</summary>
    public int Rotary => 2 * _inverse.Length;

    /// <summary>A row of the table: factor cos (n f) | factor sin (n f).</summary>
    internal void Angles(int n, Span<float> row)
    {
        for (var j = 0; j < _inverse.Length; j++)
        {
            var (sin, cos) = Math.SinCos(n * (double)_inverse[j]);
            (row[j], row[_inverse.Length + j]) = ((float)(cos * Factor), (float)(sin * Factor));
        }
    }

    /// <summary>f_j = θ^(-2j / r)</summary>
    /// <param name="rotary">r, how many elements of a head turn.</param>
    /// <param name="theta">θ</param>
    public static RopeFrequencies Default(int rotary, double theta = 10000) => new(rotary, 1, j => Plain(rotary, theta, j));

    /// <summary>All frequencies divided by <paramref name="factor"/>.</summary>
    public static RopeFrequencies Linear(int rotary, double theta, double factor) => new(rotary, 1, j => Plain(rotary, theta, j) / factor);

    /// <summary>θ grown to fit a text of <paramref name="length"/> where that is longer than <paramref name="trained"/>.</summary>
    public static RopeFrequencies Dynamic(int rotary, double theta, double factor, int trained, int length)
    {
        var grown = theta * Math.Pow(factor * Math.Max(length, trained) / trained - (factor - 1), rotary / (rotary - 2.0));
        return new(rotary, 1, j => Plain(rotary, grown, j));
    }

    /// <summary>Long wavelengths stretched, short ones left, a blend between.</summary>
    /// <param name="rotary">r, how many elements of a head turn.</param>
    /// <param name="theta">θ</param>
    /// <param name="factor">How far to stretch.</param>
    /// <param name="trained">The length trained on.</param>
    /// <param name="low">Pairs that turn this often within that length or less are stretched.</param>
    /// <param name="high">Pairs that turn this often or more are left.</param>
    public static RopeFrequencies Llama3(int rotary, double theta, double factor, int trained, double low = 1, double high = 4) => new(rotary, 1, j =>
    {
        var f = Plain(rotary, theta, j);
        var kept = Math.Clamp((trained * f / (2 * Math.PI) - low) / (high - low), 0, 1);
        return kept * f + (1 - kept) * f / factor;
    });

    /// <summary>Slow pairs stretched, fast ones left, a ramp over the pairs between.</summary>
    /// <param name="rotary">r, how many elements of a head turn.</param>
    /// <param name="theta">θ</param>
    /// <param name="factor">How far to stretch.</param>
    /// <param name="trained">The length trained on.</param>
    /// <param name="fast">Pairs that turn this often within that length or more are left.</param>
    /// <param name="slow">Pairs that turn this often or less are stretched.</param>
    /// <param name="attentionFactor">On cosines and sines; null for 0.1 ln factor + 1.</param>
    /// <param name="truncate">Whether the ramp begins and ends at whole pairs.</param>
    public static RopeFrequencies Yarn(int rotary, double theta, double factor, int trained, double fast = 32, double slow = 1,
        double? attentionFactor = null, bool truncate = true)
    {
        double PairThatTurns(double times) => rotary * Math.Log(trained / (times * 2 * Math.PI)) / (2 * Math.Log(theta));
        double from = PairThatTurns(fast), to = PairThatTurns(slow);
        if (truncate) (from, to) = (Math.Floor(from), Math.Ceiling(to));
        (from, to) = (Math.Max(from, 0), Math.Min(to, rotary - 1));
        if (from == to) to += 0.001;
        return new(rotary, attentionFactor ?? YarnFactor(factor), j =>
        {
            var f = Plain(rotary, theta, j);
            var stretched = Math.Clamp((j - from) / (to - from), 0, 1);
            return stretched * f / factor + (1 - stretched) * f;
        });
    }

    /// <summary>YaRN's factor on cosines and sines: 0.1 m ln factor + 1, or 1 where nothing is stretched.</summary>
    public static double YarnFactor(double factor, double m = 1) => factor <= 1 ? 1 : 0.1 * m * Math.Log(factor) + 1;

    /// <summary>Each frequency divided by its own factor: the long ones where the text is longer than <paramref name="trained"/>.</summary>
    /// <param name="rotary">r, how many elements of a head turn.</param>
    /// <param name="theta">θ</param>
    /// <param name="factor">The longest text over the length trained on.</param>
    /// <param name="trained">The length trained on.</param>
    /// <param name="length">The length of the text.</param>
    /// <param name="shortFactors">r / 2 divisors for short texts.</param>
    /// <param name="longFactors">r / 2 divisors for long texts.</param>
    /// <param name="attentionFactor">On cosines and sines; null for √(1 + ln factor / ln trained).</param>
    public static RopeFrequencies LongRope(int rotary, double theta, double factor, int trained, int length,
        IReadOnlyList<double> shortFactors, IReadOnlyList<double> longFactors, double? attentionFactor = null)
    {
        var divisors = length > trained ? longFactors : shortFactors;
        if (divisors.Count != rotary / 2) throw new ArgumentException($"RopeFrequencies.LongRope: {divisors.Count} factors for {rotary / 2} pairs.");
        var onBoth = attentionFactor ?? (factor <= 1 ? 1 : Math.Sqrt(1 + Math.Log(factor) / Math.Log(trained)));
        return new(rotary, onBoth, j => Plain(rotary, theta, j) / divisors[j]);
    }

    private static double Plain(int rotary, double theta, int j) => Math.Pow(theta, -2.0 * j / rotary);
}
