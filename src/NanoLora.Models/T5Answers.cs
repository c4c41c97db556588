using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>How likely a <see cref="T5"/> finds each of several answers to a text, which is how it classifies.</summary>
public static class T5Answers
{
    /// <summary>
    /// The score of every answer to every text, text by text, for <see cref="TokenScores.BestAnswers"/>. Each text is read once, whatever the number of
    /// answers; the scores are those of <see cref="TokenScores.ScoreEach"/> on all pairs.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="texts">The texts; their targets are not looked at.</param>
    /// <param name="answers">The tokens of each answer, the same answers for all texts.</param>
    /// <param name="batchSize">How many texts are read at once.</param>
    /// <param name="workspace">Where the model works; the backend's main one if null.</param>
    /// <param name="cancellation">Ends the work between two batches.</param>
    /// <returns>[texts · answers]</returns>
    /// <exception cref="ArgumentException">There is no answer, or one without tokens.</exception>
    /// <exception cref="OperationCanceledException">The work was ended.</exception>
    public static TokenScore[] ScoreAnswers(this T5 model, IDataset texts, IReadOnlyList<int[]> answers, int batchSize = 16, Workspace? workspace = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(answers);
        if (answers.Count == 0 || answers.Any(static answer => answer.Length == 0))
            throw new ArgumentException($"{model.Source}: {answers.Count} answers to choose from; one at least is needed, and each has a token.");
        if (batchSize < 1) throw new ArgumentException($"{model.Source}: batches of {batchSize}; it must be 1 at least.");
        workspace ??= model.Backend.Main;
        using var asking = new Asking(workspace);
        var scores = new TokenScore[checked(texts.Count * answers.Count)];
        int[] order = [.. Enumerable.Range(0, texts.Count).OrderBy(texts.Length)];
        for (var start = 0; start < order.Length; start += batchSize)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = workspace.Scope(grad: false);
            var indices = order.AsSpan(start, Math.Min(batchSize, order.Length - start));
            var batch = texts.Read(workspace, indices);
            var memory = model.Read(batch.Inputs, batch.Lengths);
            var (written, targets) = Rows(model, answers, indices.Length);
            var shape = new Shape(indices.Length * answers.Count, targets.Length / (indices.Length * answers.Count));
            var logits = model.Write(workspace.From(written, shape), memory);
            var (losses, guesses) = (logits.CrossEntropy(workspace.From(targets, shape), Reduction.None).ToArray(), logits.ArgMax(-1).ToInts());
            for (var i = 0; i < targets.Length; i++)
            {
                if (targets[i] == Batch.Ignored) continue;
                var row = i / shape[1];
                scores[indices[row / answers.Count] * answers.Count + row % answers.Count] += new TokenScore(-losses[i], 1, guesses[i] == targets[i] ? 1 : 0);
            }
        }
        return scores;
    }

    // What the decoder is given, and what it is to say, [texts · answers, longest answer].
    private static (int[] Written, int[] Targets) Rows(T5 model, IReadOnlyList<int[]> answers, int texts)
    {
        var width = answers.Max(static answer => answer.Length);
        var (written, targets) = (new int[checked(texts * answers.Count * width)], new int[texts * answers.Count * width]);
        Array.Fill(targets, Batch.Ignored);
        for (var row = 0; row < texts * answers.Count; row++)
        {
            var (answer, at) = (answers[row % answers.Count], row * width);
            written.AsSpan(at, width).Fill(model.StartToken);
            answer.AsSpan(0, answer.Length - 1).CopyTo(written.AsSpan(at + 1));
            answer.CopyTo(targets.AsSpan(at));
        }
        return (written, targets);
    }
}
