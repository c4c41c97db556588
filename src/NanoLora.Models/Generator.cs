namespace NanoLora.Models;

/// <summary>Continues texts of tokens with a language model and its cache of keys and values; <see cref="TextGenerator"/> does so with strings.</summary>
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
    public static int[][] Greedy(LanguageModel model, Workspace workspace, IReadOnlyList<int[]> prompts, int newTokens, params ReadOnlySpan<int> stop) =>
        Run(model, workspace, prompts, Likeliest(newTokens, stop));

    /// <summary>Writes a text for each that is read, with the most likely token, again and again.</summary>
    /// <param name="model">The model.</param>
    /// <param name="workspace">Where it works.</param>
    /// <param name="inputs">The texts to read, one token each at least.</param>
    /// <param name="newTokens">How many tokens to write at most.</param>
    /// <param name="stop">Tokens that end a text; the one that did is its last.</param>
    /// <returns>The tokens written for each, without the one that all begin with.</returns>
    /// <exception cref="ArgumentException">No text, an empty one, fewer than one new token, or an id that is none of the model's tokens.</exception>
    public static int[][] Greedy(T5 model, Workspace workspace, IReadOnlyList<int[]> inputs, int newTokens, params ReadOnlySpan<int> stop) =>
        Run(model, workspace, inputs, Likeliest(newTokens, stop));

    /// <summary>Continues each prompt as the options say.</summary>
    /// <param name="model">The model.</param>
    /// <param name="workspace">Where it works.</param>
    /// <param name="prompts">The texts so far, one token each at least.</param>
    /// <param name="options">How tokens are chosen, and what ends a text; strings that end one are for <see cref="TextGenerator"/>.</param>
    /// <returns>The tokens added to each; the one that ended a text is its last.</returns>
    /// <exception cref="ArgumentException">No prompt, an empty one, one that fills the context, an id that is none of the model's tokens, or options that
    /// make no sense.</exception>
    public static int[][] Sample(LanguageModel model, Workspace workspace, IReadOnlyList<int[]> prompts, GenerationOptions options) =>
        Run(model, workspace, prompts, options);

    /// <summary>Writes a text for each that is read, as the options say.</summary>
    /// <param name="model">The model.</param>
    /// <param name="workspace">Where it works.</param>
    /// <param name="inputs">The texts to read, one token each at least.</param>
    /// <param name="options">How tokens are chosen, and what ends a text; strings that end one are for <see cref="TextGenerator"/>.</param>
    /// <returns>The tokens written for each, without the one that all begin with; the one that ended a text is its last.</returns>
    /// <exception cref="ArgumentException">No text, an empty one, an id that is none of the model's tokens, or options that make no sense.</exception>
    public static int[][] Sample(T5 model, Workspace workspace, IReadOnlyList<int[]> inputs, GenerationOptions options) =>
        Run(model, workspace, inputs, options);

    // Beyond what the model is made for, too: only a table of positions is a bound.
    private static GenerationOptions Likeliest(int newTokens, ReadOnlySpan<int> stop) =>
        new() { MaxTokens = newTokens, Stop = stop.ToArray(), IgnoreEnd = true, Context = int.MaxValue };

    private static int[][] Run(ITextModel model, Workspace workspace, IReadOnlyList<int[]> prompts, GenerationOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(workspace);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(options);
        using var run = new TokenRun(model, workspace, prompts, options);
        while (run.Step()) { }
        return Array.ConvertAll(run.Added, static row => row.ToArray());
    }
}
