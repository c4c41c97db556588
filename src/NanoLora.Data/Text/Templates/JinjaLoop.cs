namespace NanoLora.Data;

/// <summary>{% for target in items if test recursive %}…{% else %}…{% endfor %}.</summary>
internal sealed class ForStatement(
    int line, JinjaTarget target, JinjaExpression items, JinjaExpression? test, bool recursive, List<JinjaStatement> body, List<JinjaStatement> otherwise)
    : JinjaStatement(line)
{
    public bool IsRecursive { get; } = recursive;

    public override bool Run(JinjaRenderer r) => Run(r, r.Scope, r.Evaluate(items), 0);

    /// <summary>Loops over a value in the scope that the statement stands in.</summary>
    public bool Run(JinjaRenderer r, JinjaScope around, TemplateValue values, int depth)
    {
        var sized = test is null && values is not SequenceValue { HasLength: false } ? values : null;
        using var loop = new LoopValue(this, around, Chosen(r, around, values), sized, depth, r);
        var (finished, outside) = (false, r.Scope);
        while (loop.Next())
        {
            r.Step();
            var scope = new JinjaScope(around);
            r.Scope = scope;
            target.Assign(r, scope, loop.Current);
            scope.Set("loop", loop);
            var whole = r.Run(body);
            r.Scope = outside;
            finished |= whole;
            if (!whole && r.Breaks) break;
        }
        // As in the reference: a loop of which no round came to its end counts as one without any.
        return finished || r.RunWithin(otherwise, new JinjaScope(around));
    }

    // Looked at one by one, as the body may change a namespace that the test asks.
    private IEnumerable<TemplateValue> Chosen(JinjaRenderer r, JinjaScope around, TemplateValue values)
    {
        foreach (var item in JinjaOperators.Each(r, values))
        {
            if (test is not null)
            {
                r.Step();
                var (scope, outside) = (new JinjaScope(around), r.Scope);
                r.Scope = scope;
                target.Assign(r, scope, item);
                var chosen = JinjaOperators.IsTrue(r.Evaluate(test));
                r.Scope = outside;
                if (!chosen) continue;
            }
            yield return item;
        }
    }
}

/// <summary>What <c>loop</c> is in a loop: it knows the round, and looks ahead where it is asked what comes.</summary>
internal sealed class LoopValue : TemplateValue, IDisposable
{
    private readonly ForStatement _statement;
    private readonly JinjaScope _around;
    private readonly IEnumerator<TemplateValue> _items;
    private readonly Queue<TemplateValue> _ahead = [];
    private readonly TemplateValue? _sized;
    private readonly JinjaRenderer _renderer;
    private readonly int _depth;
    private TemplateValue? _previous, _changed;
    private int _index = -1, _length = -1;

    public LoopValue(ForStatement statement, JinjaScope around, IEnumerable<TemplateValue> items, TemplateValue? sized, int depth, JinjaRenderer renderer) =>
        (_statement, _around, _items, _sized, _depth, _renderer, Current) = (statement, around, items.GetEnumerator(), sized, depth, renderer, None);

    public TemplateValue Current { get; private set; }

    public int Length
    {
        get
        {
            if (_length >= 0) return _length;
            if (_sized is not null and not LoopValue) return _length = JinjaOperators.Length(_renderer, _sized);
            while (_items.MoveNext())
            {
                _renderer.Step();
                _ahead.Enqueue(_items.Current);
            }
            return _length = _ahead.Count + _index + 1;
        }
    }

    internal override string Type => "jinja2.runtime.LoopContext";

    public bool Next()
    {
        if (!Peek(out var next)) return false;
        _ahead.Dequeue();
        if (_index >= 0) _previous = Current;
        Current = next;
        _index++;
        return true;
    }

    /// <summary>What is still to come, taken from the loop.</summary>
    public IEnumerable<TemplateValue> Rest()
    {
        while (Next()) yield return Current;
    }

    public TemplateValue? Attribute(string name)
    {
        switch (name)
        {
            case "index": return new IntValue(_index + 1);
            case "index0": return new IntValue(_index);
            case "revindex": return new IntValue(Length - _index);
            case "revindex0": return new IntValue(Length - _index - 1);
            case "first": return BoolValue.Of(_index == 0);
            case "last": return BoolValue.Of(!Peek(out _));
            case "length": return new IntValue(Length);
            case "depth": return new IntValue(_depth + 1);
            case "depth0": return new IntValue(_depth);
            case "previtem": return _previous ?? new UndefinedValue("there is no previous item");
            case "nextitem": return Peek(out var next) ? next : new UndefinedValue("there is no next item");
            case "cycle":
                return new FunctionValue("cycle", (r, a) => a.Given.Count > 0 ? a.Given[_index % a.Given.Count] : throw r.Error("no items for cycling given"));
            case "changed":
                return new FunctionValue("changed", (r, a) =>
                {
                    var now = new SequenceValue(a.Given, SequenceKind.Tuple);
                    if (_changed is not null && JinjaOperators.AreEqual(r, _changed, now)) return BoolValue.Of(false);
                    _changed = now;
                    return BoolValue.Of(true);
                });
            default: return null;
        }
    }

    /// <summary>loop(items) in a recursive loop: the loop again, over other items, as a text.</summary>
    public TemplateValue Recurse(JinjaRenderer r, JinjaArguments arguments)
    {
        if (!_statement.IsRecursive) throw r.Error("The loop must have the 'recursive' marker to be called recursively.");
        if (arguments.Given.Count != 1) throw r.Error("loop() takes the items of the inner loop");
        r.Enter();
        var text = r.Capture(() => _statement.Run(r, _around, arguments.Given[0], _depth + 1));
        r.Leave();
        return new TextValue(text);
    }

    public void Dispose() => _items.Dispose();

    private bool Peek(out TemplateValue next)
    {
        if (_ahead.Count == 0)
        {
            if (!_items.MoveNext())
            {
                next = None;
                return false;
            }
            _ahead.Enqueue(_items.Current);
        }
        next = _ahead.Peek();
        return true;
    }
}
