namespace NanoLora.Models;

/// <summary>Writes tokens to several texts at once, step by step. A text that has ended goes on within the batch, and is not looked at.</summary>
internal sealed class TokenRun : IDisposable
{
    private readonly ITextModel _model;
    private readonly Workspace _workspace;
    private readonly Decoding _decoding;
    private readonly Sampler[]? _samplers;
    private readonly int[] _ends;
    private readonly int _most;
    private readonly Finish _atMost;
    private readonly float[] _logits = [];
    private int[] _tokens = [];
    private int _steps;

    /// <summary>Begins; nothing is computed yet.</summary>
    /// <exception cref="ArgumentException">No prompt, an empty one, one that leaves no room in the context, an id that is none of the model's, or options
    /// that make no sense.</exception>
    public TokenRun(ITextModel model, Workspace workspace, IReadOnlyList<IReadOnlyList<int>> prompts, GenerationOptions options, PromptCache? cache = null)
    {
        (_model, _workspace) = (model, workspace);
        options.Checked(model.Vocabulary);
        var width = Check(prompts);
        var context = options.Context ?? model.Context;
        if (model.Continues && width >= context)
        {
            throw new ArgumentException($"the prompt has {width} tokens and the context {context}, which leaves no room to go on; "
                + "shorten the prompt, or take a model with a longer context.");
        }
        var room = context - (model.Continues ? width : 0);
        (_most, _atMost) = options.MaxTokens <= room ? (options.MaxTokens, Finish.Length) : (room, Finish.Context);
        _ends = [.. options.Stop.Union(options.IgnoreEnd ? [] : model.Tokens.Ends)];
        Added = [.. prompts.Select(static _ => new List<int>())];
        Ended = new Finish?[prompts.Count];
        if (!options.IsPlain)
        {
            _samplers = [.. prompts.Select((p, row) => new Sampler(options, model.Before(p), _ends, unchecked(options.FirstRow + (ulong)row)))];
            _logits = new float[checked(prompts.Count * model.Vocabulary)];
        }
        _decoding = model.Begin(workspace, prompts, _most, cache);
    }

    /// <summary>The tokens added to each text; the one that ended it is its last.</summary>
    public List<int>[] Added { get; }

    /// <summary>Why each text ended; null while it goes on.</summary>
    public Finish?[] Ended { get; }

    /// <summary>Adds a token to each text that goes on; false if there is none.</summary>
    public bool Step()
    {
        if (Array.TrueForAll(Ended, static e => e is not null)) return false;
        Choose();
        _steps++;
        for (var row = 0; row < _tokens.Length; row++)
        {
            if (Ended[row] is not null) continue;
            Added[row].Add(_tokens[row]);
            if (Array.IndexOf(_ends, _tokens[row]) >= 0) Ended[row] = Finish.EndToken;
            else if (_steps == _most) Ended[row] = _atMost;
        }
        return true;
    }

    /// <summary>Ends a text.</summary>
    public void End(int row, Finish why) => Ended[row] = why;

    /// <summary>Lets go what it remembers.</summary>
    public void Dispose() => _decoding.Dispose();

    private void Choose()
    {
        using var scope = _workspace.Scope(grad: false);
        var logits = _decoding.Next(_tokens);
        if (_samplers is null)
        {
            _tokens = logits.ArgMax(-1).ToInts();
            return;
        }
        logits.CopyTo(_logits);
        if (_tokens.Length == 0) _tokens = new int[_samplers.Length];
        var width = _model.Vocabulary;
        for (var row = 0; row < _samplers.Length; row++)
            if (Ended[row] is null) _tokens[row] = _samplers[row].Next(_logits.AsSpan(row * width, width));
    }

    // The length of the longest.
    private int Check(IReadOnlyList<IReadOnlyList<int>> prompts)
    {
        if (prompts.Count == 0) throw new ArgumentException("Generator: there are no prompts; give 1 at least.");
        var width = 0;
        for (var row = 0; row < prompts.Count; row++)
        {
            if (prompts[row].Count == 0) throw new ArgumentException($"Generator: prompt {row} is empty; begin it with the token that begins texts.");
            foreach (var id in prompts[row])
                if (id < 0 || id >= _model.Vocabulary)
                    throw new ArgumentException($"Generator: prompt {row} has the token {id}, which is none of the model's {_model.Vocabulary}.");
            width = Math.Max(width, prompts[row].Count);
        }
        return width;
    }
}
