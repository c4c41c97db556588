namespace NanoLora.Experiments;

/// <summary>A mean over a sample and its 95 % confidence interval, by Student's t or by a <see cref="Bootstrap"/>.</summary>
/// <param name="Count">Values in the sample: what the interval is over.</param>
/// <param name="Mean">Their mean.</param>
/// <param name="Deviation">Sample standard deviation (n - 1 in the denominator); NaN for one value.</param>
/// <param name="Low">Lower end of the interval; NaN for one value.</param>
/// <param name="High">Upper end of the interval; NaN for one value.</param>
public readonly record struct Estimate(int Count, double Mean, double Deviation, double Low, double High)
{
    /// <summary>Half the width of the interval; NaN for one value.</summary>
    public double HalfWidth => (High - Low) / 2;

    /// <summary>Whether there is an interval: it takes two values.</summary>
    public bool HasInterval => Count > 1;

    /// <summary>Whether the interval lies on one side of 0; false where there is none.</summary>
    public bool ExcludesZero => Low > 0 || High < 0;
}

/// <summary>Mean, spread, and the two distributions behind intervals and p-values: Student's t and the normal.</summary>
public static class Statistics
{
    /// <summary>Arithmetic mean.</summary>
    /// <exception cref="ArgumentException">The sample is empty.</exception>
    public static double Mean(ReadOnlySpan<double> sample)
    {
        if (sample.IsEmpty) throw new ArgumentException("Statistics.Mean: the sample is empty; it takes at least one value", nameof(sample));
        var sum = 0.0;
        foreach (var x in sample) sum += x;
        return sum / sample.Length;
    }

    /// <summary>Sample standard deviation, √(Σ(x - mean)² / (n - 1)); NaN for one value.</summary>
    public static double Deviation(ReadOnlySpan<double> sample)
    {
        var mean = Mean(sample);
        if (sample.Length == 1) return double.NaN;
        var squares = 0.0;
        foreach (var x in sample) squares += (x - mean) * (x - mean);
        return Math.Sqrt(squares / (sample.Length - 1));
    }

    /// <summary>Mean with its 95 % interval: t(0.975, n - 1) · s / √n on either side.</summary>
    public static Estimate Estimate(ReadOnlySpan<double> sample)
    {
        var n = sample.Length;
        var deviation = Deviation(sample);
        var halfWidth = n > 1 ? StudentQuantile(0.975, n - 1) * deviation / Math.Sqrt(n) : double.NaN;
        var mean = Mean(sample);
        return new Estimate(n, mean, deviation, mean - halfWidth, mean + halfWidth);
    }

    /// <summary>The t below which Student's distribution with <paramref name="freedom"/> degrees of freedom has the share <paramref name="p"/>.</summary>
    /// <param name="p">A share strictly between 0 and 1.</param>
    /// <param name="freedom">Degrees of freedom, 1 or more.</param>
    public static double StudentQuantile(double p, int freedom)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(freedom, 1);
        if (!(p > 0 && p < 1)) throw new ArgumentOutOfRangeException(nameof(p), p, "Statistics.StudentQuantile: p is a share strictly between 0 and 1");
        if (p < 0.5) return -StudentQuantile(1 - p, freedom);

        // Bisection on the angle: the share is smooth and monotonic in θ, and [0, π/2] holds every t. It ends when no double lies between the two ends.
        double low = 0, high = Math.PI / 2, share = 2 * p - 1;
        while (true)
        {
            var middle = (low + high) / 2;
            if (middle <= low || middle >= high) return Math.Sqrt(freedom) * Math.Tan(low);
            if (ShareWithin(middle, freedom) < share) low = middle;
            else high = middle;
        }
    }

    /// <summary>The share of Student's distribution below <paramref name="t"/>.</summary>
    public static double StudentShare(double t, int freedom)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(freedom, 1);
        var within = ShareWithin(Math.Atan(Math.Abs(t) / Math.Sqrt(freedom)), freedom);
        return t < 0 ? (1 - within) / 2 : (1 + within) / 2;
    }

    // P(|T| < t) for an integer number ν of degrees of freedom, θ = atan(t / √ν); Abramowitz and Stegun 26.7.3 and 26.7.4:
    //   ν even:  sin θ (1 + 1/2 cos² θ + 1·3/(2·4) cos⁴ θ + … up to cos^(ν-2))
    //   ν odd:   2/π (θ + sin θ (cos θ + 2/3 cos³ θ + 2·4/(3·5) cos⁵ θ + … up to cos^(ν-2))),  and 2θ/π for ν = 1
    private static double ShareWithin(double angle, int freedom)
    {
        var (sin, cos) = Math.SinCos(angle);
        var odd = freedom % 2 == 1;
        var term = odd ? cos : 1.0;
        var sum = 0.0;
        for (var power = odd ? 1 : 0; power <= freedom - 2; power += 2)
        {
            sum += term;
            term *= cos * cos * (power + 1) / (power + 2);
        }
        return odd ? 2 / Math.PI * (angle + sin * sum) : sin * sum;
    }

    /// <summary>The share of the standard normal distribution above <paramref name="z"/>: erfc(z / √2) / 2.</summary>
    public static double NormalTail(double z)
    {
        if (z < 0) return 1 - NormalTail(-z);
        var x = z / Math.Sqrt(2);
        return x < 2 ? (1 - Erf(x)) / 2 : Erfc(x) / 2;
    }

    // erf x = 2/√π e^(-x²) Σ 2ⁿ x^(2n+1) / (1·3·5 … (2n+1)): all terms positive, so nothing cancels. Abramowitz and Stegun 7.1.6.
    private static double Erf(double x)
    {
        double term = x, sum = x;
        for (var n = 1; term > sum * 1e-17; n++)
        {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return 2 / Math.Sqrt(Math.PI) * Math.Exp(-x * x) * sum;
    }

    // erfc x = e^(-x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + 2/(x + …))))), from the inside out; 120 levels are enough from x = 2 on. Abramowitz and Stegun
    // 7.1.14.
    private static double Erfc(double x)
    {
        var fraction = x;
        for (var n = 120; n > 0; n--) fraction = x + n / 2.0 / fraction;
        return Math.Exp(-x * x) / Math.Sqrt(Math.PI) / fraction;
    }
}
