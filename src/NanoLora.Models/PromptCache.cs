namespace NanoLora.Models;

/// <summary>
/// What a model has read of one text, kept between calls: the next prompt is read only from where it differs, so a conversation that grows costs what is new
/// of it. It belongs to one model with the adapters that it has; after attaching others, call <see cref="Clear"/>. For one call at a time.
/// </summary>
public sealed class PromptCache : IDisposable
{
    private KeyValueCache? _cache;
    private LanguageModel? _model;

    /// <summary>Tokens whose keys and values are there.</summary>
    public int Length => _cache?.Length ?? 0;

    /// <summary>The text, of which the first <see cref="Length"/> tokens are read.</summary>
    internal List<int> Ids { get; } = [];

    /// <summary>Forgets all.</summary>
    public void Clear()
    {
        Ids.Clear();
        _cache?.Clear();
    }

    /// <summary>The cache, cut to what it has in common with a prompt but for the prompt's last token, whose logits are wanted.</summary>
    /// <exception cref="ArgumentException">It was used with another model.</exception>
    internal KeyValueCache Open(LanguageModel model, IReadOnlyList<int> prompt, int room)
    {
        if (_model is not null && _model != model)
            throw new ArgumentException($"PromptCache: it holds what {_model.Source} has read, not {model.Source}; take one for each model.");
        _cache ??= model.NewCache(1, room);
        _model = model;
        var (common, read) = (0, _cache.Length);
        while (common < Math.Min(read, prompt.Count - 1) && Ids[common] == prompt[common]) common++;
        if (model.Outgrows(read, prompt.Count)) common = 0;                            // its keys were turned for texts of another length
        _cache.Truncate(common);
        Ids.RemoveRange(common, Ids.Count - common);
        for (var i = common; i < prompt.Count; i++) Ids.Add(prompt[i]);
        return _cache;
    }

    /// <summary>Lets the memory go.</summary>
    public void Dispose()
    {
        _cache?.Dispose();
        (_cache, _model) = (null, null);
        Ids.Clear();
    }
}
