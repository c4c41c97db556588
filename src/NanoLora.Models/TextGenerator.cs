using System.Runtime.CompilerServices;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// Continues texts, or answers them, with a <see cref="LanguageModel"/> or a <see cref="T5"/> and its tokenizer. Adapters that are attached to the model act at
/// once; change them only between calls. Several threads may use one generator: each call works in a workspace of its own unless it is given one.
/// </summary>
public sealed class TextGenerator
{
    private readonly ITextModel _model;

    /// <summary>A generator over a model and its tokenizer, both of which stay the caller's.</summary>
    /// <param name="model">A <see cref="LanguageModel"/> or a <see cref="T5"/>.</param>
    /// <param name="tokenizer">The tokenizer that belongs to it.</param>
    /// <exception cref="ArgumentException">Another kind of model, or a tokenizer of a size that is another model's.</exception>
    public TextGenerator(Model model, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        _model = model as ITextModel
            ?? throw new ArgumentException($"TextGenerator: {model.GetType().Name} writes no text; give a LanguageModel or a T5.", nameof(model));
        (Model, Tokenizer) = (model, tokenizer);
        // Models may have spare tokens, up to a round number, and tokenizers a few that the model never learned.
        long ours = _model.Vocabulary, theirs = tokenizer.VocabularySize;
        if (4 * theirs < 3 * ours || 10 * theirs > 11 * ours) throw new ArgumentException(NotOneAnothers);
    }

    /// <summary>The model.</summary>
    public Model Model { get; }

    /// <summary>The tokenizer.</summary>
    public ITokenizer Tokenizer { get; }

    /// <summary>The longest text that the model is made for, in tokens; <see cref="int.MaxValue"/> if it has no such bound.</summary>
    public int Context => _model.Context;

    /// <summary>Reads a model that writes texts, all weights frozen: a T5, or what <see cref="LanguageModel.Load(string, Backend, bool)"/> reads.</summary>
    /// <param name="path">A folder with config.json and the weights, the weight file in it, a checkpoint of llama2.c, or a folder with one.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="keepType">Let matrices in BF16 and F16 rest as they are.</param>
    /// <returns>A model for <see cref="TextGenerator(Model, ITokenizer)"/>.</returns>
    /// <exception cref="CheckpointException">A file is missing or damaged, or asks for something that is not supported: file and field are named.</exception>
    public static Model LoadModel(string path, Backend backend, bool keepType = true)
    {
        ArgumentNullException.ThrowIfNull(path);
        var folder = Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;
        var config = Path.Combine(folder, "config.json");
        return File.Exists(config) && ConfigNode.Read(config).Text("model_type", "") == "t5" ? T5.Load(path, backend, keepType)
            : LanguageModel.Load(path, backend, keepType);
    }

    /// <summary>The tokens of a prompt as the model wants them; of an empty one, the token that begins texts.</summary>
    /// <exception cref="ArgumentException">It is empty, and no token is known to begin texts.</exception>
    public int[] Encode(string prompt)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        var ids = Tokenizer.Encode(prompt);
        if (ids.Length == 0) ids = _model.Tokens.Begin is { } begin ? [begin] : throw new ArgumentException("TextGenerator: the prompt is empty; give a text.");
        return ids;
    }

    /// <summary>Begins to continue a text; <see cref="TextGeneration.Next"/> gives it piece by piece.</summary>
    /// <param name="prompt">The text so far; to a T5, the text to read.</param>
    /// <param name="options">How it is continued; null for the likeliest tokens.</param>
    /// <param name="workspace">Where it works, which may hold mixing weights; null for one of its own.</param>
    /// <exception cref="ArgumentException">The prompt is empty or longer than the context, tokenizer and model do not belong together, or options make no
    /// sense.</exception>
    public TextGeneration Start(string prompt, GenerationOptions? options = null, Workspace? workspace = null) =>
        Start(Encode(prompt), options, null, workspace);

    /// <summary>As <see cref="Start(string, GenerationOptions, Workspace)"/>, of tokens, with what was read before of a text that begins alike.</summary>
    /// <param name="prompt">The text so far, one token at least.</param>
    /// <param name="options">How it is continued; null for the likeliest tokens.</param>
    /// <param name="cache">What the model has read before, which grows by this text; null for nothing.</param>
    /// <param name="workspace">Where it works; null for one of its own.</param>
    /// <exception cref="ArgumentException">As for a text; or a cache for a T5, or another model's.</exception>
    public TextGeneration Start(IReadOnlyList<int> prompt, GenerationOptions? options = null, PromptCache? cache = null, Workspace? workspace = null)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        options ??= new GenerationOptions();
        var run = new TokenRun(_model, workspace ?? new Workspace(Model.Backend), [Known(prompt)], options, cache);
        return new TextGeneration(run, Tail(prompt, options), prompt.Count);
    }

    /// <summary>
    /// Continues a text piece by piece, as soon as each is known. No piece has half a character, or a part of a stop string. Tokens are computed on other
    /// threads.
    /// </summary>
    /// <param name="prompt">The text so far; to a T5, the text to read.</param>
    /// <param name="options">How it is continued; null for the likeliest tokens.</param>
    /// <param name="cancellation">Ends it between two tokens.</param>
    /// <exception cref="ArgumentException">As for <see cref="Start(string, GenerationOptions, Workspace)"/>.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public async IAsyncEnumerable<string> StreamAsync(string prompt, GenerationOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var generation = Start(prompt, options);
        while (await Task.Run(() => generation.Next(cancellation), cancellation).ConfigureAwait(false) is { } piece) yield return piece;
    }

    /// <summary>Continues a text to its end.</summary>
    /// <param name="prompt">The text so far; to a T5, the text to read.</param>
    /// <param name="options">How it is continued; null for the likeliest tokens.</param>
    /// <param name="workspace">Where it works; null for one of its own.</param>
    /// <param name="cancellation">Ends it between two tokens.</param>
    /// <exception cref="ArgumentException">As for <see cref="Start(string, GenerationOptions, Workspace)"/>.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public GeneratedText Generate(string prompt, GenerationOptions? options = null, Workspace? workspace = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return Generate([prompt], options, workspace, cancellation)[0];
    }

    /// <summary>
    /// Continues several texts at once, as one batch: each becomes what it becomes alone. With a <see cref="GivenMixer"/> whose weights [B, N] are set for the
    /// workspace, each row has a mixture of adapters of its own.
    /// </summary>
    /// <param name="prompts">The texts so far; to a T5, the texts to read.</param>
    /// <param name="options">How they are continued; null for the likeliest tokens. The context counts from the longest prompt.</param>
    /// <param name="workspace">Where it works; null for one of its own.</param>
    /// <param name="cancellation">Ends it between two tokens.</param>
    /// <exception cref="ArgumentException">As for <see cref="Start(string, GenerationOptions, Workspace)"/>; or no prompts.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IReadOnlyList<GeneratedText> Generate(IReadOnlyList<string> prompts, GenerationOptions? options = null, Workspace? workspace = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        options ??= new GenerationOptions();
        int[][] ids = [.. prompts.Select(p => Known(Encode(p)))];
        using var run = new TokenRun(_model, workspace ?? new Workspace(Model.Backend), ids, options);
        var tails = Array.ConvertAll(ids, prompt => Tail(prompt, options));
        var texts = Array.ConvertAll(ids, static _ => new System.Text.StringBuilder());
        var taken = new int[ids.Length];
        do
        {
            cancellation.ThrowIfCancellationRequested();
            for (var row = 0; row < ids.Length; row++)
            {
                for (; taken[row] < run.Added[row].Count; taken[row]++) texts[row].Append(Take(run, row, tails[row], run.Added[row][taken[row]]));
            }
        }
        while (run.Step());
        return [.. texts.Select((text, row) => new GeneratedText(text.Append(tails[row].Finish()).ToString(), run.Added[row], run.Ended[row]!.Value))];
    }

    /// <summary>What a row's new token shows. One that ends texts is not shown.</summary>
    internal static string Take(TokenRun run, int row, TextTail tail, int token)
    {
        if (run.Ended[row] == Finish.EndToken) return "";
        var piece = tail.Add(token);
        if (tail.IsStopped) run.End(row, Finish.StopString);
        return piece;
    }

    // What is shown goes on with the prompt, whose last tokens decide whether a space comes first.
    private TextTail Tail(IReadOnlyList<int> prompt, GenerationOptions options)
    {
        const int looked = 16;
        var stream = Tokenizer.Stream();
        if (_model.Continues) for (var i = Math.Max(0, prompt.Count - looked); i < prompt.Count; i++) stream.Next(prompt[i]);
        return new TextTail(stream, options.StopStrings);
    }

    private T Known<T>(T ids) where T : IReadOnlyList<int>
    {
        foreach (var id in ids)
        {
            if (id < 0 || id >= _model.Vocabulary)
                throw new ArgumentException($"the prompt has the token {id} (\"{Tokenizer.Token(id)}\"): {NotOneAnothers}");
        }
        return ids;
    }

    private string NotOneAnothers => $"{Model.Source} has {_model.Vocabulary} tokens and the tokenizer {Tokenizer.VocabularySize}: they do not belong "
        + "together; give the tokenizer of the model's own folder.";
}
