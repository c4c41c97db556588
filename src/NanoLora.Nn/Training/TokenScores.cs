namespace NanoLora.Nn;

/// <summary>How well a model foresees tokens.</summary>
/// <param name="LogLikelihood">The sum of the natural logarithms of their probabilities.</param>
/// <param name="Targets">How many there are.</param>
/// <param name="Right">How many of them the model finds the most likely.</param>
public readonly record struct TokenScore(double LogLikelihood, long Targets, long Right)
{
    /// <summary>e to the mean loss of a token; NaN of none.</summary>
    public double Perplexity => Math.Exp(-LogLikelihood / Targets);

    /// <summary>The share of tokens that the model finds the most likely; NaN of none.</summary>
    public double Accuracy => (double)Right / Targets;

    /// <summary>The mean of the logarithms; NaN of none.</summary>
    public double PerToken => LogLikelihood / Targets;

    /// <summary>Of both together.</summary>
    public static TokenScore operator +(TokenScore a, TokenScore b) => new(a.LogLikelihood + b.LogLikelihood, a.Targets + b.Targets, a.Right + b.Right);
}

/// <summary>Measures models on tokens, each held against those before it as they are, not as the model would have written them.</summary>
public static class TokenScores
{
    /// <summary>The score of all samples together.</summary>
    /// <inheritdoc cref="ScoreEach" path="/param"/>
    /// <inheritdoc cref="ScoreEach" path="/exception"/>
    public static TokenScore Score(this Model model, IDataset data, int batchSize = 16, Workspace? workspace = null, CancellationToken cancellation = default)
    {
        var sum = default(TokenScore);
        foreach (var score in model.ScoreEach(data, batchSize, workspace, cancellation)) sum += score;
        return sum;
    }

    /// <summary>The score of each sample.</summary>
    /// <param name="model">A model whose outputs are logits of tokens.</param>
    /// <param name="data">Samples whose targets are tokens.</param>
    /// <param name="batchSize">How many are read at once.</param>
    /// <param name="workspace">Where the model works; the backend's main one if null.</param>
    /// <param name="cancellation">Ends the work between two batches.</param>
    /// <exception cref="OperationCanceledException">The work was ended.</exception>
    public static TokenScore[] ScoreEach(this Model model, IDataset data, int batchSize = 16, Workspace? workspace = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        if (batchSize < 1) throw new ArgumentException($"TokenScores: batches of {batchSize}; it must be 1 at least.");
        workspace ??= model.Backend.Main;
        using var asking = new Asking(workspace);
        var scores = new TokenScore[data.Count];
        int[] order = [.. Enumerable.Range(0, data.Count).OrderBy(data.Length)];       // those of one length together: little is padded
        for (var start = 0; start < order.Length; start += batchSize)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = workspace.Scope(grad: false);
            var indices = order.AsSpan(start, Math.Min(batchSize, order.Length - start));
            var batch = data.Read(workspace, indices);
            var logits = model.Forward(batch);                                           // [B, T, V]
            var (losses, guesses) = (logits.CrossEntropy(batch.Targets, Reduction.None).ToArray(), logits.ArgMax(-1).ToInts());
            var (targets, tokens) = (batch.Targets.ToInts(), batch.Targets.Count / indices.Length);
            for (var i = 0; i < targets.Length; i++)
            {
                if (targets[i] == Batch.Ignored) continue;
                scores[indices[i / tokens]] += new TokenScore(-losses[i], 1, guesses[i] == targets[i] ? 1 : 0);
            }
        }
        return scores;
    }

    /// <summary>
    /// Which answer of each prompt is the most likely, of samples that are each prompt with each of its answers: by the mean of the logarithms of the answer's
    /// tokens, or by their sum, which favours short answers.
    /// </summary>
    /// <param name="scores">The scores of the samples, prompt by prompt.</param>
    /// <param name="answers">How many answers a prompt has.</param>
    /// <param name="bySum">Whether the sum counts.</param>
    /// <returns>The number of the best answer of each prompt; the first of equals.</returns>
    /// <exception cref="ArgumentException">Not so many scores for each prompt.</exception>
    public static int[] BestAnswers(ReadOnlySpan<TokenScore> scores, int answers, bool bySum = false)
    {
        if (answers < 1 || scores.Length % answers != 0)
            throw new ArgumentException($"TokenScores: {scores.Length} scores of prompts with {answers} answers each.");
        var best = new int[scores.Length / answers];
        for (var p = 0; p < best.Length; p++)
        {
            var of = scores.Slice(p * answers, answers);
            for (var a = 1; a < answers; a++) if (Value(of[a], bySum) > Value(of[best[p]], bySum)) best[p] = a;
        }
        return best;

        static double Value(TokenScore score, bool bySum) => bySum ? score.LogLikelihood : score.PerToken;
    }
}
