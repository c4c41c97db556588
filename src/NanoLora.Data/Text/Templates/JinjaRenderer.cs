using System.Text;

namespace NanoLora.Data;

/// <summary>Names and their values, within those of the block around.</summary>
internal sealed class JinjaScope(JinjaScope? parent)
{
    private readonly Dictionary<string, TemplateValue> _names = new(StringComparer.Ordinal);

    public void Set(string name, TemplateValue value) => _names[name] = value;

    public TemplateValue? Find(string name)
    {
        for (var scope = this; scope is not null; scope = scope._parent) if (scope._names.TryGetValue(name, out var value)) return value;
        return null;
    }

    private readonly JinjaScope? _parent = parent;
}

/// <summary>One rendering: where it stands, what it has written, and what it may still use.</summary>
internal sealed class JinjaRenderer
{
    // A character costs this part of a step where texts are made or searched.
    private const int CharactersPerStep = 8;

    private readonly string _template;
    private readonly ChatTemplateLimits _limits;
    private long _steps;
    private int _depth, _captures;

    public JinjaRenderer(string template, ChatTemplateLimits limits, Func<DateTime> clock, JinjaScope scope) =>
        (_template, _limits, Clock, Scope) = (template, limits, clock, scope);

    public Func<DateTime> Clock { get; }

    public JinjaScope Scope { get; set; }

    public StringBuilder Output { get; private set; } = new();

    /// <summary>What stood in <c>{% generation %}</c>.</summary>
    public List<Range> Generated { get; } = [];

    /// <summary>Whether what is written goes straight into the result.</summary>
    public bool IsOutermost => _captures == 0;

    /// <summary>The line that is at work, for errors.</summary>
    public int Line { get; set; }

    public TemplateValue Evaluate(JinjaExpression expression)
    {
        Enter();
        var line = Line;
        Line = expression.Line;
        var value = expression.Evaluate(this);
        Line = line;
        _depth--;
        return value;
    }

    /// <summary>Runs statements in the scope there is; false if the loop around them is to go on or to end, as <see cref="Breaks"/> says.</summary>
    public bool Run(List<JinjaStatement> statements)
    {
        foreach (var statement in statements)
        {
            Enter();
            Line = statement.Line;
            var goesOn = statement.Run(this);
            _depth--;
            if (!goesOn) return false;
        }
        return true;
    }

    /// <summary>What made <see cref="Run"/> give false: break, or else continue.</summary>
    public bool Breaks { get; set; }

    /// <summary>The same in a scope of its own.</summary>
    public bool RunWithin(List<JinjaStatement> statements, JinjaScope scope)
    {
        var before = Scope;
        Scope = scope;
        var goesOn = Run(statements);
        Scope = before;
        return goesOn;
    }

    /// <summary>What statements write, as a text.</summary>
    public string Capture(List<JinjaStatement> statements, JinjaScope scope) => Capture(() => RunWithin(statements, scope));

    public string Capture(Action write)
    {
        var before = Output;
        Output = new StringBuilder();
        _captures++;
        write();
        _captures--;
        var text = Output.ToString();
        Output = before;
        return text;
    }

    public void Write(string text)
    {
        Charge(text);
        Fits((long)Output.Length + text.Length);
        Output.Append(text);
    }

    /// <summary>Goes one level deeper: every recursion over values, expressions, blocks and calls does; <see cref="Leave"/> ends it.</summary>
    public void Enter()
    {
        Step();
        if (++_depth > _limits.MaxDepth || !System.Runtime.CompilerServices.RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw Error($"more than {_limits.MaxDepth} levels of nested expressions, blocks, calls or values; does it call itself without end?");
    }

    public void Leave() => _depth--;

    /// <summary>Counts work.</summary>
    public void Step(long count = 1)
    {
        _steps += count;
        if (_steps > _limits.MaxSteps) throw Error($"more than {_limits.MaxSteps} steps of work; does it loop without end?");
    }

    /// <summary>Counts a text that is made or searched, and gives it back.</summary>
    public string Charge(string text)
    {
        Room(text.Length);
        return text;
    }

    /// <summary>Counts a text before it is made.</summary>
    public void Room(long characters)
    {
        Fits(characters);
        Step(1 + characters / CharactersPerStep);
    }

    /// <summary>Counts the search for a text in another, which takes long where both are.</summary>
    public void Search(string text, string mark) => Step(1 + text.Length / CharactersPerStep * (1 + (long)mark.Length / 64));

    /// <summary>Refuses a text that would be too long, without counting it.</summary>
    public void Fits(long characters)
    {
        if (characters > _limits.MaxText) throw TooLong();
    }

    public TemplateValue Text(string text) => new TextValue(Charge(text));

    public TemplateValue List(List<TemplateValue> items, SequenceKind kind = SequenceKind.List)
    {
        Step(1 + items.Count);
        return new SequenceValue(items, kind);
    }

    public ChatTemplateException Error(string problem, bool raised = false) => new(_template, Line, problem, raised);

    private ChatTemplateException TooLong() => Error($"a text of more than {_limits.MaxText} characters");
}
