namespace NanoLora.Models;

/// <summary>Continues texts with a language model and its cache of keys and values.</summary>
public static class Generator
{
    /// <summary>
    /// Continues each prompt with the most likely token, again and again. Prompts may differ in length: shorter ones are padded on the left, which changes
    /// nothing about what they become.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="prompts">The texts so far, one token each at least.</param>
    /// <param name="newTokens">How many tokens to add at most.</param>
    /// <param name="stop">Tokens that end a text; the one that did is its last.</param>
    /// <returns>The tokens added to each.</returns>
    /// <exception cref="ArgumentException">No prompt, an empty one, fewer than one new token, or an id that is none of the model's tokens.</exception>
    public static int[][] Greedy(LanguageModel model, IReadOnlyList<int[]> prompts, int newTokens, params ReadOnlySpan<int> stop) =>
        Greedy(model, model?.Backend.Main!, prompts, newTokens, stop);

    /// <summary>As <see cref="Greedy(LanguageModel, IReadOnlyList{int[]}, int, ReadOnlySpan{int})"/>, in a workspace of one's own.</summary>
    public static int[][] Greedy(LanguageModel model, Workspace workspace, IReadOnlyList<int[]> prompts, int newTokens, params ReadOnlySpan<int> stop)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(workspace);
        ArgumentNullException.ThrowIfNull(prompts);
        if (prompts.Count == 0 || newTokens < 1)
            throw new ArgumentException($"Generator: {newTokens} new tokens for {prompts.Count} prompts; both must be 1 at least.");
        var width = prompts.Max(static p => p.Length);
        var padding = new int[prompts.Count];
        var texts = new List<int>[prompts.Count];                                      // padding, prompt, and what was added
        for (var row = 0; row < texts.Length; row++)
        {
            if (prompts[row].Length == 0) throw new ArgumentException($"Generator: prompt {row} is empty; begin it with the token that begins texts.");
            padding[row] = width - prompts[row].Length;
            texts[row] = [.. Enumerable.Repeat(prompts[row][0], padding[row]), .. prompts[row]];   // any token will do: nothing sees it
        }

        using var cache = model.NewCache(prompts.Count, checked(width + newTokens), padding);
        var added = Array.ConvertAll(texts, static _ => new List<int>());
        var ended = new bool[texts.Length];
        for (var step = 0; step < newTokens && Array.IndexOf(ended, false) >= 0; step++)
        {
            var length = width + step;
            if (step > 0 && model.Outgrows(length - 1, length)) cache.Clear();         // read again, with the positions of long texts
            using var scope = workspace.Scope(grad: false);
            var next = model.Next(Tokens(workspace, texts, cache.Length, length), cache).ArgMax(-1).ToInts();
            for (var row = 0; row < texts.Length; row++) texts[row].Add(next[row]);
            Add(next, added, ended, stop);
        }
        return Array.ConvertAll(added, static row => row.ToArray());
    }

    /// <summary>Writes a text for each that is read, with the most likely token, again and again.</summary>
    /// <param name="model">The model.</param>
    /// <param name="workspace">Where it works.</param>
    /// <param name="inputs">The texts to read, one token each at least.</param>
    /// <param name="newTokens">How many tokens to write at most.</param>
    /// <param name="stop">Tokens that end a text; the one that did is its last.</param>
    /// <returns>The tokens written for each, without the one that all begin with.</returns>
    /// <exception cref="ArgumentException">No text, an empty one, fewer than one new token, or an id that is none of the model's tokens.</exception>
    public static int[][] Greedy(T5 model, Workspace workspace, IReadOnlyList<int[]> inputs, int newTokens, params ReadOnlySpan<int> stop)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(workspace);
        ArgumentNullException.ThrowIfNull(inputs);
        if (inputs.Count == 0 || newTokens < 1)
            throw new ArgumentException($"Generator: {newTokens} new tokens for {inputs.Count} texts; both must be 1 at least.");
        var width = inputs.Max(static text => text.Length);
        var ids = inputs.SelectMany(text => text.Concat(Enumerable.Repeat(0, width - text.Length))).ToArray();
        using var all = workspace.Scope(grad: false);
        using var cache = new KeyValueCache(model.Backend, model.Sizes, inputs.Count, newTokens, []);
        var memory = model.Read(workspace.From(ids, new Shape(inputs.Count, width)), [.. inputs.Select(static text => text.Length)]);
        var next = new int[inputs.Count];
        Array.Fill(next, model.StartToken);
        var written = Array.ConvertAll(next, static _ => new List<int>());
        var ended = new bool[next.Length];
        for (var step = 0; step < newTokens && Array.IndexOf(ended, false) >= 0; step++)
        {
            using var scope = workspace.Scope(grad: false);
            next = model.Next(workspace.From(next, new Shape(next.Length, 1)), memory, cache).ArgMax(-1).ToInts();
            Add(next, written, ended, stop);
        }
        return Array.ConvertAll(written, static row => row.ToArray());
    }

    // A row that has ended goes on, and is not looked at.
    private static void Add(int[] next, List<int>[] added, bool[] ended, ReadOnlySpan<int> stop)
    {
        for (var row = 0; row < next.Length; row++)
        {
            if (ended[row]) continue;
            added[row].Add(next[row]);
            ended[row] = stop.Contains(next[row]);
        }
    }

    private static Tensor Tokens(Workspace workspace, List<int>[] texts, int from, int to)
    {
        var ids = new List<int>(texts.Length * (to - from));
        foreach (var text in texts) ids.AddRange(text.GetRange(from, to - from));
        return workspace.From([.. ids], new Shape(texts.Length, to - from));
    }
}
