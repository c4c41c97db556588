using System.Numerics.Tensors;

namespace NanoLora.Models;

// The steps and formulas are those of GenerationOptions, in its order. What is out has -∞. Nothing sorts all V tokens:
//
//   top k    a heap of the k largest gives the bound; one pass applies it
//   top p    tokens of probability (1 - p) / V or less have no more than 1 - p together, so they are out; only the rest is sorted
//   draw     the first token at which the running sum of exp(x - max) passes u Σ exp(x - max), in the order of ids

/// <summary>Chooses the next token of one text.</summary>
internal sealed class Sampler
{
    // Less than e^-40 of the likeliest one's probability, over any vocabulary, is less than a random number can tell.
    private const float Negligible = -40;

    private readonly GenerationOptions _options;
    private readonly int[] _ends;
    private readonly Philox _random;
    private readonly List<int> _text, _distinct = [];
    private readonly HashSet<int> _seen = [];
    private readonly int _prompt;
    private float[] _heap = [];
    private ulong[] _keys = [];

    /// <summary>A sampler for a text that begins with a prompt.</summary>
    /// <param name="options">How.</param>
    /// <param name="prompt">The tokens that are there.</param>
    /// <param name="ends">Tokens that end a text.</param>
    /// <param name="row">Its row among the random numbers.</param>
    public Sampler(GenerationOptions options, IReadOnlyList<int> prompt, int[] ends, ulong row)
    {
        (_options, _ends, _random, _text, _prompt) = (options, ends, new Philox(options.Seed, row), [.. prompt], prompt.Count);
        foreach (var token in prompt) See(token);
    }

    /// <summary>Chooses a token by logits [V], which are written over, and takes it into the text.</summary>
    /// <exception cref="InvalidOperationException">A logit is NaN or infinite, or no token is left.</exception>
    public int Next(Span<float> x)
    {
        Process(x);
        var token = _options.Temperature == 0 ? TensorPrimitives.IndexOfMax<float>(x) : Draw(x, _random.Bits((ulong)(_text.Count - _prompt)));
        Take(token);
        return token;
    }

    /// <summary>Takes a token into the text.</summary>
    internal void Take(int token)
    {
        _text.Add(token);
        See(token);
    }

    /// <summary>All steps but the last: what is out has -∞.</summary>
    internal void Process(Span<float> x)
    {
        if (!float.IsFinite(TensorPrimitives.Max<float>(x)))                           // NaN if there is one
            throw new InvalidOperationException("Sampler: the model's logits are not finite; its weights or its adapters are damaged.");
        if (_options.RepetitionPenalty != 1) Penalise(x, (float)_options.RepetitionPenalty);
        if (_options.NoRepeatNgram > 0) BanRepeats(x, _options.NoRepeatNgram);
        if (_text.Count - _prompt < _options.MinTokens) foreach (var token in _ends) x[token] = float.NegativeInfinity;
        if (TensorPrimitives.Max<float>(x) == float.NegativeInfinity)
            throw new InvalidOperationException("Sampler: every token is out; ask for less with NoRepeatNgram and MinTokens.");
        if (_options.Temperature == 0) return;
        if (_options.Temperature != 1) TensorPrimitives.Divide(x, (float)_options.Temperature, x);
        if (_options.TopK > 0 && _options.TopK < x.Length) KeepLargest(x, _options.TopK);
        if (_options.TopP < 1) KeepLikeliest(x, 1 - _options.TopP);
        if (_options.MinP > 0) KeepNear(x, _options.MinP);
    }

    private void See(int token)
    {
        if (_seen.Add(token)) _distinct.Add(token);
    }

    private void Penalise(Span<float> x, float penalty)
    {
        foreach (var token in _distinct) x[token] = x[token] < 0 ? x[token] * penalty : x[token] / penalty;
    }

    // What followed the last n - 1 tokens wherever they stand in the text.
    private void BanRepeats(Span<float> x, int n)
    {
        ReadOnlySpan<int> text = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_text);
        if (text.Length < n) return;
        var last = text[^(n - 1)..];
        for (var i = 0; i + n <= text.Length; i++) if (text.Slice(i, n - 1).SequenceEqual(last)) x[text[i + n - 1]] = float.NegativeInfinity;
    }

    private void KeepLargest(Span<float> x, int k)
    {
        if (_heap.Length < k) _heap = new float[k];
        var heap = _heap.AsSpan(0, k);                                                 // the k largest so far, the smallest of them first
        x[..k].CopyTo(heap);
        for (var i = k / 2 - 1; i >= 0; i--) Sink(heap, i);
        foreach (var value in x[k..])
        {
            if (value <= heap[0]) continue;
            heap[0] = value;
            Sink(heap, 0);
        }
        var bound = heap[0];
        for (var i = 0; i < x.Length; i++) if (x[i] < bound) x[i] = float.NegativeInfinity;
    }

    private static void Sink(Span<float> heap, int at)
    {
        var value = heap[at];
        for (var child = 2 * at + 1; child < heap.Length; child = 2 * at + 1)
        {
            if (child + 1 < heap.Length && heap[child + 1] < heap[child]) child++;
            if (heap[child] >= value) break;
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = value;
    }

    private void KeepLikeliest(Span<float> x, double rest)
    {
        var max = TensorPrimitives.Max<float>(x);
        var (sum, count) = (0.0, 0);
        foreach (var value in x)
        {
            if (value == float.NegativeInfinity) continue;
            sum += Math.Exp(value - max);
            count++;
        }
        if (_keys.Length < count) _keys = new ulong[x.Length];
        var bound = max + Math.Log(rest * sum / count);
        var (below, large) = (0.0, 0);
        for (var i = 0; i < x.Length; i++)
        {
            if (x[i] > bound) _keys[large++] = (ulong)Ordered(x[i]) << 32 | ~(uint)i;   // of equals, the higher id comes first
            else if (x[i] > float.NegativeInfinity)
            {
                below += Math.Exp(x[i] - max);
                x[i] = float.NegativeInfinity;
            }
        }
        var keys = _keys.AsSpan(0, large);
        keys.Sort();
        foreach (var key in keys[..^1])                                                // the likeliest stays whatever p is
        {
            var id = (int)~(uint)key;
            below += Math.Exp(x[id] - max);
            if (below > rest * sum) break;
            x[id] = float.NegativeInfinity;
        }
    }

    // Bits whose order as numbers is that of the values.
    private static uint Ordered(float x)
    {
        var bits = BitConverter.SingleToUInt32Bits(x);
        return (bits & 0x8000_0000) != 0 ? ~bits : bits | 0x8000_0000;
    }

    private static void KeepNear(Span<float> x, double share)
    {
        var max = TensorPrimitives.Max<float>(x);
        var bound = (float)Math.Log(share);
        for (var i = 0; i < x.Length; i++) if (x[i] - max < bound) x[i] = float.NegativeInfinity;
    }

    private static int Draw(Span<float> x, uint random)
    {
        var max = TensorPrimitives.Max<float>(x);
        var sum = 0.0;
        foreach (var value in x) if (value - max > Negligible) sum += Math.Exp(value - max);
        var left = (random + 0.5) / 4294967296.0 * sum;
        var last = 0;
        for (var i = 0; i < x.Length; i++)
        {
            if (x[i] - max <= Negligible) continue;
            last = i;
            left -= Math.Exp(x[i] - max);
            if (left < 0) break;
        }
        return last;                                                                   // where rounding leaves something over, the last there is
    }
}
