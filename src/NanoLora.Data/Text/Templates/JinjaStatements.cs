namespace NanoLora.Data;

/// <summary>A part of a template that does something.</summary>
internal abstract class JinjaStatement(int line)
{
    public int Line { get; } = line;

    /// <summary>Does it; false if the loop around it is to end or to go on, as <see cref="JinjaRenderer.Breaks"/> says.</summary>
    public abstract bool Run(JinjaRenderer r);
}

internal sealed class DataStatement(int line, string text) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        r.Write(text);
        return true;
    }
}

internal sealed class OutputStatement(int line, JinjaExpression expression) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        r.Write(JinjaPrinter.Text(r, r.Evaluate(expression)));
        return true;
    }
}

internal sealed class IfStatement(int line, List<(JinjaExpression Test, List<JinjaStatement> Body)> branches, List<JinjaStatement> otherwise)
    : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        foreach (var (test, body) in branches) if (JinjaOperators.IsTrue(r.Evaluate(test))) return r.Run(body);
        return r.Run(otherwise);
    }
}

/// <summary>Where a value goes: a name, a field of a namespace, or several targets that the value is taken apart for.</summary>
internal sealed record JinjaTarget(int Line, string Name, string? Field = null, List<JinjaTarget>? Parts = null)
{
    public void Assign(JinjaRenderer r, JinjaScope scope, TemplateValue value)
    {
        r.Line = Line;
        if (Parts is not null) TakeApart(r, scope, value, Parts);
        else if (Field is null) scope.Set(Name, value);
        else if (r.Scope.Find(Name) is NamespaceValue space) space.Fields[Field] = value;
        else throw r.Error("cannot assign attribute on non-namespace object");
    }

    private static void TakeApart(JinjaRenderer r, JinjaScope scope, TemplateValue value, List<JinjaTarget> parts)
    {
        var values = new List<TemplateValue>();
        foreach (var item in JinjaOperators.Each(r, value, "cannot unpack non-iterable {0} object"))
        {
            r.Step();
            if (values.Count == parts.Count) throw r.Error($"too many values to unpack (expected {parts.Count})");
            values.Add(item);
        }
        if (values.Count < parts.Count) throw r.Error($"not enough values to unpack (expected {parts.Count}, got {values.Count})");
        for (var i = 0; i < parts.Count; i++) parts[i].Assign(r, scope, values[i]);
    }
}

internal sealed class SetStatement(int line, JinjaTarget target, JinjaExpression value) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        target.Assign(r, r.Scope, r.Evaluate(value));
        return true;
    }
}

/// <summary>{% set x %}…{% endset %}.</summary>
internal sealed class SetBlockStatement(int line, JinjaTarget target, FilterExpression? filter, List<JinjaStatement> body) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        TemplateValue text = new TextValue(r.Capture(body, new JinjaScope(r.Scope)));
        target.Assign(r, r.Scope, filter is null ? text : filter.ApplyAll(r, text));
        return true;
    }
}

internal sealed class FilterStatement(int line, FilterExpression filter, List<JinjaStatement> body) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        var text = new TextValue(r.Capture(body, new JinjaScope(r.Scope)));
        r.Write(JinjaPrinter.Text(r, filter.ApplyAll(r, text)));
        return true;
    }
}

internal sealed class WithStatement(int line, List<(JinjaTarget Target, JinjaExpression Value)> values, List<JinjaStatement> body) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        var scope = new JinjaScope(r.Scope);
        foreach (var (target, value) in values) target.Assign(r, scope, r.Evaluate(value));
        return r.RunWithin(body, scope);
    }
}

/// <summary>{% generation %}…{% endgeneration %}: what the model is to write itself; the result tells where it stands.</summary>
internal sealed class GenerationStatement(int line, List<JinjaStatement> body) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        var start = r.Output.Length;
        r.RunWithin(body, new JinjaScope(r.Scope));
        if (r.IsOutermost) r.Generated.Add(start..r.Output.Length);
        return true;
    }
}

/// <summary>{% break %} and {% continue %}.</summary>
internal sealed class JumpStatement(int line, bool breaks) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        r.Breaks = breaks;
        return false;
    }
}

/// <summary>{% call(parameters) macro(arguments) %}…{% endcall %}: the macro finds the block as caller().</summary>
internal sealed class CallStatement(int line, CallExpression call, JinjaMacro caller) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        r.Write(JinjaPrinter.Text(r, call.Evaluate(r, "caller", caller.Bind(r.Scope))));
        return true;
    }
}

internal sealed class MacroStatement(int line, JinjaMacro macro) : JinjaStatement(line)
{
    public override bool Run(JinjaRenderer r)
    {
        r.Scope.Set(macro.Name, macro.Bind(r.Scope));
        return true;
    }
}

/// <summary>A macro, or the block of a call.</summary>
internal sealed record JinjaMacro(
    string Name, List<(string Name, JinjaExpression? Default)> Parameters, List<JinjaStatement> Body, bool UsesRest, bool UsesNamedRest, bool UsesCaller)
{
    /// <summary>The macro as a value: it sees the names of where it was defined, as they are when it is called.</summary>
    public TemplateValue Bind(JinjaScope scope) => new FunctionValue($"<Macro {PyText.Repr(Name)}>", (r, arguments) => Call(r, scope, arguments))
    {
        Attribute = attribute => attribute switch
        {
            "name" => new TextValue(Name),
            "arguments" => new SequenceValue([.. Parameters.Select(static TemplateValue (p) => new TextValue(p.Name))], SequenceKind.Tuple),
            "caller" => BoolValue.Of(UsesCaller),
            _ => null,
        },
    };

    private TextValue Call(JinjaRenderer r, JinjaScope definedIn, JinjaArguments arguments)
    {
        r.Enter();
        var (line, outside, scope) = (r.Line, r.Scope, new JinjaScope(definedIn));
        var named = new OrderedDictionary<string, TemplateValue>(arguments.Named, StringComparer.Ordinal);
        r.Scope = scope;
        for (var i = 0; i < Parameters.Count; i++)
        {
            var (name, fallback) = Parameters[i];
            if (i < arguments.Given.Count) scope.Set(name, arguments.Given[i]);
            else if (named.Remove(name, out var value)) scope.Set(name, value);
            else scope.Set(name, fallback is not null ? r.Evaluate(fallback) : new UndefinedValue($"parameter '{name}' was not provided"));
        }
        if (UsesCaller && !Parameters.Exists(static p => p.Name == "caller"))
            scope.Set("caller", named.Remove("caller", out var caller) ? caller : new UndefinedValue("No caller defined"));
        if (UsesNamedRest) scope.Set("kwargs", TemplateValue.Map(named));
        else if (named.Count > 0) throw r.Error($"macro {PyText.Repr(Name)} takes no keyword argument {PyText.Repr(named.GetAt(0).Key)}");
        List<TemplateValue> rest = arguments.Given.Count > Parameters.Count ? arguments.Given[Parameters.Count..] : [];
        if (UsesRest) scope.Set("varargs", new SequenceValue(rest, SequenceKind.Tuple));
        else if (rest.Count > 0) throw r.Error($"macro {PyText.Repr(Name)} takes not more than {Parameters.Count} argument(s)");
        var text = r.Capture(Body, scope);
        (r.Line, r.Scope) = (line, outside);
        r.Leave();
        return new TextValue(text);
    }
}
