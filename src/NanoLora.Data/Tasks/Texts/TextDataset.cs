using System.Buffers;
using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// Texts as the trainer reads them: encoded once, padded on the right to the longest of a batch. Either to classify, one label a row, or to go on with: then
/// the targets are the inputs one place to the left, -100 where nothing is to be learned.
/// </summary>
public sealed class TextDataset : IDataset
{
    private const int Ignored = -100;

    private readonly List<TextRow> _rows;
    private readonly IReadOnlyList<int>? _labels;

    private TextDataset(string name, List<TextRow> rows, IReadOnlyList<int>? labels, IReadOnlyList<string> classes) =>
        (Name, _rows, _labels, Classes) = (name, rows, labels, classes);

    /// <summary>Texts, completions or conversations to go on with.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="samples">The samples.</param>
    /// <param name="encoder">Makes their ids.</param>
    /// <param name="pack">
    /// Put samples one behind the other into rows of the encoder's length, in their order, none of them divided, each with its end token. Attention and
    /// positions go on across them: a token sees the samples before its own in the row. Without it each row is one sample.
    /// </param>
    /// <param name="cancellation">Ends the encoding.</param>
    /// <exception cref="InvalidDataException">No sample has anything to learn within the encoder's length, or a conversation is refused.</exception>
    /// <exception cref="ArgumentException">Samples are to be packed and the model has no end token.</exception>
    public static TextDataset ToContinue(string name, IReadOnlyList<TextSample> samples, TextEncoder encoder, bool pack = false,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(encoder);
        if (pack && encoder.End is null) throw new ArgumentException($"{name}: samples are packed with an end token between, and the model's files name none.");
        var (rows, cut, without) = (new List<TextRow>(samples.Count), 0, 0);
        foreach (var sample in samples)
        {
            cancellation.ThrowIfCancellationRequested();
            var row = encoder.Continued(sample);
            if (row.IsCut) cut++;
            if (row.Learned.AsSpan(Math.Min(1, row.Ids.Length)).Contains(true)) rows.Add(row);        // nothing stands before the first
            else without++;
        }
        if (rows.Count == 0 && samples.Count > 0)
            throw new InvalidDataException($"{name}: no sample has anything to learn within {encoder.MaxLength} tokens; allow longer ones.");
        return new(name, pack ? Packed(rows, encoder.MaxLength) : rows, null, []) { Cut = cut, LeftOut = without };
    }

    /// <summary>Labelled texts to classify.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="samples">Samples with labels.</param>
    /// <param name="classes">The names of the classes.</param>
    /// <param name="encoder">Makes their ids.</param>
    /// <param name="cancellation">Ends the encoding.</param>
    /// <exception cref="ArgumentException">A sample has no label among the classes.</exception>
    /// <exception cref="InvalidDataException">A text has no token.</exception>
    public static TextDataset ToClassify(string name, IReadOnlyList<TextSample> samples, IReadOnlyList<string> classes, TextEncoder encoder,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(classes);
        ArgumentNullException.ThrowIfNull(encoder);
        var (rows, cut) = (new List<TextRow>(samples.Count), 0);
        foreach (var sample in samples)
        {
            cancellation.ThrowIfCancellationRequested();
            if ((uint)sample.Label >= (uint)classes.Count) throw new ArgumentException($"{sample.Place}: its label is {sample.Label} of {classes.Count} classes.");
            var row = encoder.Whole(sample.Text);
            if (row.Ids.Length == 0) throw new InvalidDataException($"{sample.Place}: text: the tokenizer makes no token of it; remove the line.");
            if (row.IsCut) cut++;
            rows.Add(row);
        }
        return new(name, rows, [.. samples.Select(static s => s.Label)], classes) { Cut = cut };
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public int Count => _rows.Count;

    /// <inheritdoc/>
    public IReadOnlyList<string> Classes { get; }

    /// <summary>How many samples were longer than the encoder allows, and cut.</summary>
    public int Cut { get; private init; }

    /// <summary>How many samples are left out because no token of theirs is to be learned within that length.</summary>
    public int LeftOut { get; private init; }

    /// <summary>The number of tokens.</summary>
    public long Tokens => _rows.Sum(static r => (long)r.Ids.Length);

    /// <summary>The number of tokens that are to be learned; of labelled texts none.</summary>
    public long Learned => _rows.Sum(static r => (long)r.Learned.AsSpan(Math.Min(1, r.Learned.Length)).Count(true));

    /// <summary>The largest id, -1 of no text: a model with fewer tokens cannot read them.</summary>
    public int LargestId => _rows.Count == 0 ? -1 : _rows.Max(static r => r.Ids.Max());

    /// <inheritdoc/>
    public int Label(int index) => _labels is not null ? _labels[index]
        : throw new NotSupportedException($"{Name}: its samples are texts to go on with; they have no labels.");

    /// <summary>The number of tokens that the model reads of a row.</summary>
    public int Length(int index) => _labels is null ? _rows[index].Ids.Length - 1 : _rows[index].Ids.Length;

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        var (rows, lengths, width) = (indices.Length, new int[indices.Length], 0);
        for (var i = 0; i < rows; i++) width = Math.Max(width, lengths[i] = Length(indices[i]));
        var (count, targetCount) = (rows * width, _labels is null ? rows * width : rows);
        int[] ids = ArrayPool<int>.Shared.Rent(count), targets = ArrayPool<int>.Shared.Rent(targetCount);
        try
        {
            ids.AsSpan(0, count).Clear();                                                  // any token will do: nothing sees it
            targets.AsSpan(0, targetCount).Fill(Ignored);
            for (var i = 0; i < rows; i++)
            {
                var row = _rows[indices[i]];
                row.Ids.AsSpan(0, lengths[i]).CopyTo(ids.AsSpan(i * width));
                if (_labels is not null) targets[i] = _labels[indices[i]];
                else for (var t = 0; t < lengths[i]; t++) if (row.Learned[t + 1]) targets[i * width + t] = row.Ids[t + 1];
            }
            var shape = new Shape(rows, width);
            return new(workspace.From(ids.AsSpan(0, count), shape), workspace.From(targets.AsSpan(0, targetCount), _labels is null ? shape : new Shape(rows)))
            {
                Lengths = lengths.AsSpan().ContainsAnyExcept(width) ? lengths : null,
            };
        }
        finally
        {
            ArrayPool<int>.Shared.Return(ids);
            ArrayPool<int>.Shared.Return(targets);
        }
    }

    // The first token of each sample is asked for by none: it does not follow from the sample before.
    private static List<TextRow> Packed(List<TextRow> rows, int maxLength)
    {
        var packed = new List<TextRow>();
        var (ids, learned) = (new List<int>(), new List<bool>());
        foreach (var row in rows)
        {
            if (ids.Count + row.Ids.Length > maxLength) End();
            ids.AddRange(row.Ids);
            learned.AddRange(row.Learned);
            learned[^row.Ids.Length] = false;
        }
        End();
        return packed;

        void End()
        {
            if (ids.Count > 0) packed.Add(new([.. ids], [.. learned], false));
            ids.Clear();
            learned.Clear();
        }
    }
}
