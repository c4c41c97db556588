using System.Buffers;
using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// Texts as the trainer reads them: encoded once, each batch padded on the right to its longest. What a model should give is the class of a text, the token
/// after each of its tokens, or another text.
/// </summary>
public sealed class TextDataset : IDataset
{
    /// <summary>A row of a batch: what the model reads, and its targets, which are as many tokens, others, or one class.</summary>
    private readonly record struct Row(int[] Inputs, int[] Targets);

    private readonly List<Row> _rows;

    private TextDataset(string name, List<Row> rows, IReadOnlyList<string> classes) => (Name, _rows, Classes) = (name, rows, classes);

    /// <summary>Texts, completions or conversations for a model that goes on with what it reads; the target of each place is the token after it.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="samples">The samples.</param>
    /// <param name="encoder">Makes their ids.</param>
    /// <param name="pack">
    /// Put samples one behind the other into rows of the encoder's length, in their order, none of them divided, each with the token that ends it. Attention
    /// and positions go on across them: a token sees the samples before its own in the row. Without it each row is one sample.
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
        var (encoded, cut) = (new List<EncodedSample>(samples.Count), 0);
        foreach (var sample in samples)
        {
            cancellation.ThrowIfCancellationRequested();
            var one = encoder.Continued(sample);
            if (one.IsCut) cut++;
            if (one.Teaches) encoded.Add(one);
        }
        if (encoded.Count == 0 && samples.Count > 0)
            throw new InvalidDataException($"{name}: no sample has anything to learn within {encoder.MaxLength} tokens; allow longer ones.");
        var rows = pack ? Packed(encoded, encoder.MaxLength) : encoded;
        return new(name, rows.ConvertAll(Shifted), []) { Cut = cut, LeftOut = samples.Count - encoded.Count };
    }

    /// <summary>Prompts and completions for a model that reads one text and writes another, such as T5; the targets are completion and end token.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="samples">Prompts and completions.</param>
    /// <param name="encoder">Makes their ids; its length holds for each of the two.</param>
    /// <param name="cancellation">Ends the encoding.</param>
    /// <exception cref="ArgumentException">A sample is no prompt with a completion.</exception>
    public static TextDataset ToWrite(string name, IReadOnlyList<TextSample> samples, TextEncoder encoder, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(encoder);
        var (rows, cut) = (new List<Row>(samples.Count), 0);
        foreach (var sample in samples)
        {
            cancellation.ThrowIfCancellationRequested();
            if (sample.Answer.Length == 0)
                throw new ArgumentException($"{sample.Place}: a model that reads one text and writes another learns from prompts with completions.");
            var (read, written) = (encoder.Whole(sample.Text, out var promptIsCut), encoder.Written(sample.Answer, out var answerIsCut));
            if (promptIsCut || answerIsCut) cut++;
            rows.Add(new(Some(read, sample), Some(written, sample)));
        }
        return new(name, rows, []) { Cut = cut };
    }

    /// <summary>Labelled texts to classify; the target is the class.</summary>
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
        var (rows, cut) = (new List<Row>(samples.Count), 0);
        foreach (var sample in samples)
        {
            cancellation.ThrowIfCancellationRequested();
            if ((uint)sample.Label >= (uint)classes.Count)
                throw new ArgumentException($"{sample.Place}: its label is {sample.Label} of {classes.Count} classes.");
            rows.Add(new(Some(encoder.Whole(sample.Text, out var isCut), sample), [sample.Label]));
            if (isCut) cut++;
        }
        return new(name, rows, classes) { Cut = cut };
    }

    /// <summary>
    /// Each prompt with each answer that it might have, prompt by prompt: what a model's likelihoods are compared on. The targets are the answer's tokens,
    /// without an end token; of a prompt that does not fit, the end stays.
    /// </summary>
    /// <param name="name">What it is called.</param>
    /// <param name="prompts">The prompts.</param>
    /// <param name="answers">The answers, the same for all.</param>
    /// <param name="encoder">Makes their ids.</param>
    /// <param name="writes">For a model that reads one text and writes another.</param>
    /// <param name="cancellation">Ends the encoding.</param>
    /// <exception cref="ArgumentException">An answer has no token, or does not fit the length.</exception>
    public static TextDataset ToRank(string name, IReadOnlyList<string> prompts, IReadOnlyList<string> answers, TextEncoder encoder, bool writes = false,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(answers);
        ArgumentNullException.ThrowIfNull(encoder);
        var rows = new List<Row>(checked(prompts.Count * answers.Count));
        foreach (var prompt in prompts)
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (var answer in answers)
            {
                var (before, ids) = encoder.Pair(writes ? "" : prompt, answer);
                if (ids.Length == 0 || ids.Length >= encoder.MaxLength)
                {
                    throw new ArgumentException($"{name}: the answer \"{answer}\" has {ids.Length} tokens; it needs one, and room within "
                        + $"{encoder.MaxLength}.");
                }
                if (writes)
                {
                    rows.Add(new(encoder.Whole(prompt), ids));
                    continue;
                }
                var kept = before[Math.Max(0, before.Length + ids.Length - encoder.MaxLength)..];
                var learned = new bool[kept.Length + ids.Length];
                learned.AsSpan(kept.Length).Fill(true);
                rows.Add(Shifted(new([.. kept, .. ids], learned, false)));
            }
        }
        return new(name, rows, []);
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

    /// <summary>The number of tokens that the model reads.</summary>
    public long Tokens => _rows.Sum(static r => (long)r.Inputs.Length);

    /// <summary>The number of targets.</summary>
    public long Targets => _rows.Sum(static r => (long)r.Targets.Length - r.Targets.AsSpan().Count(Batch.Ignored));

    /// <summary>The largest id, -1 of no text: a model with fewer tokens cannot read them.</summary>
    public int LargestId => _rows.Count == 0 ? -1 : _rows.Max(r => Math.Max(r.Inputs.Max(), Classes.Count > 0 ? -1 : r.Targets.Max()));

    /// <inheritdoc/>
    public int Label(int index) => Classes.Count > 0 ? _rows[index].Targets[0] : -1;

    /// <inheritdoc/>
    public int Length(int index) => _rows[index].Inputs.Length;

    /// <inheritdoc/>
    public Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        var lengths = new int[indices.Length];
        var (read, asked) = (0, 0);
        for (var i = 0; i < lengths.Length; i++)
        {
            var row = _rows[indices[i]];
            (read, asked) = (Math.Max(read, lengths[i] = row.Inputs.Length), Math.Max(asked, row.Targets.Length));
        }
        var inputs = Padded(workspace, indices, static row => row.Inputs, read, 0);                        // any token will do: nothing sees it
        var targets = Padded(workspace, indices, static row => row.Targets, asked, Batch.Ignored);
        return new(inputs, Classes.Count > 0 ? targets.Reshape(lengths.Length) : targets)
        {
            Lengths = lengths.AsSpan().ContainsAnyExcept(read) ? lengths : null,
        };
    }

    // [B, width]
    private Tensor Padded(Workspace workspace, ReadOnlySpan<int> indices, Func<Row, int[]> part, int width, int padding)
    {
        var values = ArrayPool<int>.Shared.Rent(indices.Length * width);
        try
        {
            var all = values.AsSpan(0, indices.Length * width);
            all.Fill(padding);
            for (var i = 0; i < indices.Length; i++) part(_rows[indices[i]]).CopyTo(all[(i * width)..]);
            return workspace.From(all, new Shape(indices.Length, width));
        }
        finally { ArrayPool<int>.Shared.Return(values); }
    }

    private static Row Shifted(EncodedSample sample)
    {
        var targets = new int[sample.Ids.Length - 1];
        for (var t = 0; t < targets.Length; t++) targets[t] = sample.Learned[t + 1] ? sample.Ids[t + 1] : Batch.Ignored;
        return new(sample.Ids[..^1], targets);
    }

    // The first token of each sample is asked for by none: it does not follow from the sample before.
    private static List<EncodedSample> Packed(List<EncodedSample> samples, int maxLength)
    {
        var packed = new List<EncodedSample>();
        var (ids, learned) = (new List<int>(), new List<bool>());
        foreach (var sample in samples)
        {
            if (ids.Count + sample.Ids.Length > maxLength) End();
            ids.AddRange(sample.Ids);
            learned.AddRange(sample.Learned);
            learned[^sample.Ids.Length] = false;
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

    private static int[] Some(int[] ids, TextSample sample) => ids.Length > 0 ? ids
        : throw new InvalidDataException($"{sample.Place}: the tokenizer makes no token of a text; remove the line.");
}
