using NanoLora.Data;
using NanoLora.Models;

namespace NanoLora.Cli;

/// <summary>The turns so far, and what the model has read of them.</summary>
internal sealed class Conversation : IDisposable
{
    private const string User = "User:", Assistant = "Assistant:";

    private readonly TextInput _text;
    private readonly GenerationOptions _options;
    private readonly ChatTemplate? _template;
    private readonly string? _system;
    private readonly PromptCache? _cache;
    private readonly List<(string User, string Answer)> _turns = [];
    private string _asked = "";
    private ulong _answers;

    /// <summary>A conversation without turns.</summary>
    /// <param name="text">The model.</param>
    /// <param name="options">How it answers.</param>
    /// <param name="system">What it is told first, or null.</param>
    /// <param name="plain">Whether turns are plain lines, whatever the model's template.</param>
    /// <exception cref="CommandException">Turns are not to be plain, and there is no template.</exception>
    public Conversation(TextInput text, GenerationOptions options, string? system, bool plain)
    {
        (_text, _system) = (text, system);
        _template = plain ? null : text.Template() ?? throw new CommandException(
            $"{text.Generator.Model.Source} has no chat template, so nobody knows how turns are written for it; with --plain they are lines that begin with "
            + $"{User} and {Assistant}");
        _options = _template is null ? options with { StopStrings = [.. options.StopStrings, "\n" + User] } : text.For(_template, options);
        if (text.Generator.Model is LanguageModel) _cache = new PromptCache();
    }

    /// <summary>Begins an answer; <see cref="Answered"/> makes both a turn.</summary>
    /// <exception cref="ArgumentException">The conversation has grown longer than the context.</exception>
    /// <exception cref="ChatTemplateException">The template refuses it.</exception>
    public TextGeneration Ask(string line)
    {
        _asked = line;
        var ids = _template is null ? _text.Generator.Encode(Plain()) : _text.Tokenizer.Encode(Rendered(_template), addSpecialTokens: false);
        // Each answer draws random numbers of its own.
        return _text.Generator.Start(ids, _options with { FirstRow = _answers++ }, _cache);
    }

    /// <summary>Takes in what was answered.</summary>
    public void Answered(string answer) => _turns.Add((_asked, answer));

    /// <summary>Forgets all turns.</summary>
    public void Reset()
    {
        _turns.Clear();
        _cache?.Clear();
    }

    /// <summary>Lets go what was read.</summary>
    public void Dispose() => _cache?.Dispose();

    private string Rendered(ChatTemplate template)
    {
        var messages = new List<ChatMessage>();
        if (_system is not null) messages.Add(new("system", _system));
        foreach (var (user, answer) in _turns) messages.AddRange([new("user", user), new("assistant", answer)]);
        messages.Add(new("user", _asked));
        return template.Render(messages, new ChatOptions { AddGenerationPrompt = true });
    }

    private string Plain()
    {
        var turns = _turns.Select(static t => $"{User} {t.User}\n{Assistant} {t.Answer.Trim()}\n");
        return $"{(_system is null ? "" : _system + "\n\n")}{string.Concat(turns)}{User} {_asked}\n{Assistant}";
    }
}
