namespace NanoLora.Models;

/// <summary>What a generator asks of a model that writes texts: <see cref="LanguageModel"/> and <see cref="T5"/>.</summary>
internal interface ITextModel
{
    /// <summary>The number of tokens, V.</summary>
    int Vocabulary { get; }

    /// <summary>The longest text that it is made for; <see cref="int.MaxValue"/> where there is no such bound.</summary>
    int Context { get; }

    /// <summary>Which tokens begin and end texts.</summary>
    TextTokens Tokens { get; set; }

    /// <summary>Whether what is written goes on with the prompt; otherwise it is a text of its own.</summary>
    bool Continues { get; }

    /// <summary>Begins to write: nothing is computed yet.</summary>
    /// <param name="workspace">Where it works.</param>
    /// <param name="prompts">One token each at least, all of them the model's.</param>
    /// <param name="most">The most tokens that will be written.</param>
    /// <param name="cache">What the model has read before of the only prompt, or null.</param>
    Decoding Begin(Workspace workspace, IReadOnlyList<IReadOnlyList<int>> prompts, int most, PromptCache? cache);

    /// <summary>The tokens that a text has before anything is written.</summary>
    IReadOnlyList<int> Before(IReadOnlyList<int> prompt);
}

/// <summary>Texts that are being written, [B] of them: what a model remembers from step to step.</summary>
internal abstract class Decoding : IDisposable
{
    /// <summary>The logits [B, V] of the next token of each text.</summary>
    /// <param name="tokens">The tokens chosen by the logits before; none at the first step.</param>
    public abstract Tensor Next(ReadOnlySpan<int> tokens);

    /// <summary>Lets go what it remembers.</summary>
    public abstract void Dispose();
}

/// <summary>A decoder goes on with its prompts: all are read in one pass, shorter ones padded on the left.</summary>
internal sealed class DecoderDecoding : Decoding
{
    // Room for so many tokens at first; it doubles as they come.
    private const int Room = 128;

    private readonly LanguageModel _model;
    private readonly Workspace _workspace;
    private readonly List<int>[] _texts;                                               // padding, prompt, and what was added
    private readonly KeyValueCache _cache;
    private readonly bool _ownsCache;
    private readonly int _most;

    public DecoderDecoding(LanguageModel model, Workspace workspace, IReadOnlyList<IReadOnlyList<int>> prompts, int most, PromptCache? cache)
    {
        (_model, _workspace, _ownsCache) = (model, workspace, cache is null);
        var width = prompts.Max(static p => p.Count);
        _most = (int)Math.Min((long)width + most, int.MaxValue);
        var first = (int)Math.Min(width + (long)Room, _most);
        if (cache is not null)
        {
            if (prompts.Count != 1) throw new ArgumentException($"PromptCache: it holds one text, and there are {prompts.Count}; leave it out.");
            _texts = [cache.Ids];
            _cache = cache.Open(model, prompts[0], first);
            return;
        }
        var padding = new int[prompts.Count];
        _texts = new List<int>[prompts.Count];
        for (var row = 0; row < _texts.Length; row++)
        {
            padding[row] = width - prompts[row].Count;
            _texts[row] = new List<int>(first);
            for (var i = 0; i < padding[row]; i++) _texts[row].Add(prompts[row][0]);   // any token will do: nothing sees it
            _texts[row].AddRange(prompts[row]);
        }
        _cache = model.NewCache(_texts.Length, first, padding);
    }

    public override Tensor Next(ReadOnlySpan<int> tokens)
    {
        for (var row = 0; row < tokens.Length; row++) _texts[row].Add(tokens[row]);
        var (before, length, batch) = (_cache.Length, _texts[0].Count, _texts.Length);
        if (before > 0 && _model.Outgrows(before, length)) _cache.Clear();             // read again, with the frequencies of long texts
        _cache.Reserve(length, _most);
        if (_cache.Length == length - 1 && tokens.Length == batch) return _model.Next(_workspace.From(tokens, new Shape(batch, 1)), _cache);
        var ids = new List<int>(batch * (length - _cache.Length));
        foreach (var text in _texts) ids.AddRange(text[_cache.Length..]);
        return _model.Next(_workspace.From([.. ids], new Shape(batch, length - _cache.Length)), _cache);
    }

    public override void Dispose()
    {
        if (_ownsCache) _cache.Dispose();
    }
}

/// <summary>T5 reads its prompts once, and writes texts of its own.</summary>
internal sealed class T5Decoding : Decoding
{
    private const int Room = 128;

    private readonly T5 _model;
    private readonly Workspace _workspace;
    private readonly KeyValueCache _cache;
    private readonly T5Memory _memory;
    private readonly int[] _start;
    private readonly int _most;

    public T5Decoding(T5 model, Workspace workspace, IReadOnlyList<IReadOnlyList<int>> prompts, int most)
    {
        (_model, _workspace, _most, _start) = (model, workspace, most, new int[prompts.Count]);
        Array.Fill(_start, model.StartToken);
        var width = prompts.Max(static p => p.Count);
        var ids = new int[checked(prompts.Count * width)];                             // padded with 0 on the right
        for (var row = 0; row < prompts.Count; row++) for (var i = 0; i < prompts[row].Count; i++) ids[row * width + i] = prompts[row][i];
        // It outlives every scope: what is kept belongs to this object.
        using var scope = workspace.Scope(grad: false);
        _memory = model.Read(workspace.From(ids, new Shape(prompts.Count, width)), [.. prompts.Select(static p => p.Count)]);
        _cache = new KeyValueCache(model.Backend, model.Sizes, prompts.Count, Math.Min(most, Room), []);
        foreach (var x in Parts()) scope.Keep(x);
    }

    public override Tensor Next(ReadOnlySpan<int> tokens)
    {
        if (tokens.Length == 0) tokens = _start;
        _cache.Reserve(_cache.Length + 1, _most);
        return _model.Next(_workspace.From(tokens, new Shape(_start.Length, 1)), _memory, _cache);
    }

    public override void Dispose()
    {
        foreach (var x in Parts()) x.Dispose();
        _cache.Dispose();
    }

    private IEnumerable<Tensor> Parts()
    {
        foreach (var (keys, values) in _memory.Blocks)
        {
            yield return keys;
            yield return values;
        }
        if (_memory.Padding is { } padding) yield return padding;
    }
}
