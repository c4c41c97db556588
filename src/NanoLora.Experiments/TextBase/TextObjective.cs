using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

// loss = a · next words + b · intents + c · pairs
//
//     next words     cross entropy of the token that follows, as in any language model
//     intents        cross entropy of a linear on the features z of a query, brought to a mean square of 1
//     pairs          InfoNCE (van den Oord et al. 2018): u_i · w_j / t, products of the first texts' unit vectors with the second ones', are scores of
//                    "these two belong together"; cross entropy of each i with its own j, and of each j with its own i
//
// z is what a classifier over the model sees of a text: the mean over its tokens of what leaves the last block, and the last norm of it. Next words alone,
// for as long as this can be trained on a processor, leave features that are worse than the word vectors that they start from.

/// <summary>A language model while it learns to be a base.</summary>
internal sealed class TextObjective : Model
{
    private readonly Llama _text;
    private readonly TextClassifier _features;
    private readonly Linear _intents;
    private readonly TextPretrainOptions _options;

    /// <param name="text">The model.</param>
    /// <param name="intents">The number of intents.</param>
    /// <param name="options">The weights of the losses.</param>
    public TextObjective(Llama text, int intents, TextPretrainOptions options) : base(text.Backend, new NameMap(), text.Source)
    {
        (_text, _features, _options) = (Part("text", text), TextClassifier.Over(text, options.Pooling), options);
        using var weight = Backend.Main.Zeros(new Shape(intents, text.Config.HiddenSize));
        using var bias = Backend.Main.Zeros(new Shape(intents));
        _intents = Part("intents", new Linear(weight, bias));
    }

    /// <summary>Lets the linear of the intents go; the model is its caller's.</summary>
    public void Release() => _intents.Dispose();

    /// <inheritdoc/>
    public override Tensor Forward(Tensor inputs) => _text.Forward(inputs);

    /// <inheritdoc/>
    public override Tensor Loss(Batch batch, float smoothing = 0)
    {
        var (o, w, width) = (_options, batch.Inputs.Workspace, batch.Inputs.Shape[1]);
        int[] ids = batch.Inputs.ToInts(), targets = batch.Targets.ToInts();
        using var scope = w.Scope();

        var words = _text.Forward(Rows(ids, 0, o.Rows, o.RowLength)).CrossEntropy(Rows(targets, 0, o.Rows, o.RowLength), smoothing: smoothing);
        var lengths = batch.Lengths.AsSpan(o.Rows);
        var z = _features.Features(Rows(ids, o.Rows, lengths.Length, Longest(lengths)), null, lengths);               // [queries + 2 pairs, D]
        var intents = _intents.Forward(z.Slice(0, 0, o.Queries).RmsNorm(null)).CrossEntropy(Rows(targets, o.Rows, o.Queries, 1));
        var pairs = PairLoss(z.Slice(0, o.Queries, o.Queries + o.Pairs), z.Slice(0, o.Queries + o.Pairs, z.Rows), o.Temperature);
        o.Losses?.Invoke((words.Item(), intents.Item(), pairs.Item()));
        return scope.Keep(words * o.WordWeight + intents * o.IntentWeight + pairs * o.PairWeight);

        // The first columns of some rows; the rest is padding that nobody needs to compute.
        Tensor Rows(int[] all, int first, int count, int columns)
        {
            var y = new int[count * columns];
            for (var r = 0; r < count; r++) all.AsSpan((first + r) * width, columns).CopyTo(y.AsSpan(r * columns));
            return w.From(y, new Shape(count, columns));
        }
    }

    /// <summary>InfoNCE of two times n features [n, D].</summary>
    public static Tensor PairLoss(Tensor first, Tensor second, float temperature)
    {
        var own = new int[first.Rows];
        for (var i = 0; i < own.Length; i++) own[i] = i;
        var targets = first.Workspace.From(own, new Shape(own.Length));
        var (u, v) = (Unit(first), Unit(second));
        var (there, back) = (u.MatMul(v, transposeB: true) * (1 / temperature), v.MatMul(u, transposeB: true) * (1 / temperature));
        return (there.CrossEntropy(targets) + back.CrossEntropy(targets)) * 0.5f;

        // x / rms x has the length √D.
        static Tensor Unit(Tensor x) => x.RmsNorm(null, 1e-12f) * (1 / MathF.Sqrt(x.Cols));
    }

    private static int Longest(ReadOnlySpan<int> lengths)
    {
        var longest = 0;
        foreach (var length in lengths) longest = Math.Max(longest, length);
        return longest;
    }
}
