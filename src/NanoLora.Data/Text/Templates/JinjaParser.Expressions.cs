using System.Globalization;
using System.Numerics;

namespace NanoLora.Data;

// Binding, from the loosest to the tightest, each from left to right:
//   a if b else c   or   and   not   == != < <= > >= in   + -   ~   * / // %   **   unary + -   x.y x[y] x(y)   x|y   x is y

internal sealed partial class JinjaParser
{
    private const int MostDigits = 4000;

    // One expression, or several with commas between them: a tuple.
    private JinjaExpression Tuple(bool withCondition, string? endsAt = null, bool mayBeEmpty = false)
    {
        var line = Current.Line;
        var items = new List<JinjaExpression>();
        var several = false;
        while (!EndsTuple())
        {
            items.Add(Expression(withCondition));
            if (!Skip(",")) break;
            several = true;
        }
        if (several) return new ListExpression(line, items, isTuple: true);
        if (items.Count > 0) return items[0];
        return mayBeEmpty ? new ListExpression(line, items, isTuple: true) : throw Error($"Expected an expression, got {PyText.Repr(Current.Described)}");

        bool EndsTuple() => Current.Kind is JinjaKind.OutputEnd or JinjaKind.TagEnd or JinjaKind.End || Current.Is(")")
            || endsAt is not null && Current.IsName(endsAt);
    }

    private JinjaExpression Expression(bool withCondition = true)
    {
        Deeper();
        var expression = Or();
        while (withCondition && Current.IsName("if"))
        {
            var line = Take().Line;
            var test = Or();
            expression = new ConditionExpression(line, test, expression, SkipName("else") ? Expression() : null);
        }
        _depth--;
        return expression;
    }

    private JinjaExpression Or()
    {
        var left = And();
        while (Current.IsName("or")) left = new LogicExpression(Take().Line, left, And(), isAnd: false);
        return left;
    }

    private JinjaExpression And()
    {
        var left = Not();
        while (Current.IsName("and")) left = new LogicExpression(Take().Line, left, Not(), isAnd: true);
        return left;
    }

    private JinjaExpression Not()
    {
        if (!Current.IsName("not")) return Compare();
        Deeper();
        var not = new NotExpression(Take().Line, Not());
        _depth--;
        return not;
    }

    private JinjaExpression Compare()
    {
        var line = Current.Line;
        var first = Sum();
        var rest = new List<(string, JinjaExpression)>();
        while (true)
        {
            if (Current.Kind == JinjaKind.Operator && Current.Text is "==" or "!=" or "<" or "<=" or ">" or ">=") rest.Add((Take().Text, Sum()));
            else if (SkipName("in")) rest.Add(("in", Sum()));
            else if (Current.IsName("not") && Next.IsName("in"))
            {
                Take();
                Take();
                rest.Add(("not in", Sum()));
            }
            else return rest.Count > 0 ? new CompareExpression(line, first, rest) : first;
        }
    }

    private JinjaExpression Sum()
    {
        var left = Concat();
        while (Current.Is("+") || Current.Is("-")) left = new BinaryExpression(Current.Line, Take().Text, left, Concat());
        return left;
    }

    private JinjaExpression Concat()
    {
        var line = Current.Line;
        var first = Product();
        if (!Current.Is("~")) return first;
        var parts = new List<JinjaExpression> { first };
        while (Skip("~")) parts.Add(Product());
        return new ConcatExpression(line, parts);
    }

    private JinjaExpression Product()
    {
        var left = Power();
        while (Current.Is("*") || Current.Is("/") || Current.Is("//") || Current.Is("%")) left = new BinaryExpression(Current.Line, Take().Text, left, Power());
        return left;
    }

    private JinjaExpression Power()
    {
        var left = Unary(withFilters: true);
        while (Current.Is("**")) left = new BinaryExpression(Current.Line, Take().Text, left, Unary(withFilters: true));
        return left;
    }

    private JinjaExpression Unary(bool withFilters)
    {
        JinjaExpression expression;
        if (Current.Is("-") || Current.Is("+"))
        {
            Deeper();
            var sign = Take();
            expression = new UnaryExpression(sign.Line, Unary(withFilters: false), sign.Text == "-");
            _depth--;
        }
        else expression = Primary();
        expression = Postfix(expression);
        return withFilters ? Filters(expression) : expression;
    }

    private JinjaExpression Primary()
    {
        var token = Take();
        switch (token.Kind)
        {
            case JinjaKind.Name:
                switch (token.Text)
                {
                    case "true" or "True": return new ConstantExpression(token.Line, BoolValue.Of(true));
                    case "false" or "False": return new ConstantExpression(token.Line, BoolValue.Of(false));
                    case "none" or "None": return new ConstantExpression(token.Line, TemplateValue.None);
                    default:
                        _namesSeen.Add(token.Text);
                        return new NameExpression(token.Line, token.Text);
                }
            case JinjaKind.Text:
                var text = token.Text;
                if (Current.Kind == JinjaKind.Text)         // "a" "b" is "ab"
                {
                    var parts = new List<string> { text };
                    while (Current.Kind == JinjaKind.Text) parts.Add(Take().Text);
                    text = string.Concat(parts);
                }
                return new ConstantExpression(token.Line, new TextValue(text));
            case JinjaKind.Integer: return new ConstantExpression(token.Line, new IntValue(Whole(token)));
            case JinjaKind.Float: return new ConstantExpression(token.Line, new FloatValue(double.Parse(token.Text, CultureInfo.InvariantCulture)));
        }
        if (token.Is("(")) return Parenthesis();
        if (token.Is("[")) return List(token.Line);
        if (token.Is("{")) return Map(token.Line);
        throw Error($"unexpected {PyText.Repr(token.Described)}", token);
    }

    private JinjaExpression Parenthesis()
    {
        var inner = Tuple(withCondition: true, mayBeEmpty: true);
        ExpectSymbol(")");
        return inner;
    }

    private ListExpression List(int line)
    {
        var items = new List<JinjaExpression>();
        while (!Current.Is("]"))
        {
            if (items.Count > 0) ExpectSymbol(",");
            if (Current.Is("]")) break;
            items.Add(Expression());
        }
        ExpectSymbol("]");
        return new ListExpression(line, items, isTuple: false);
    }

    private MapExpression Map(int line)
    {
        var items = new List<(JinjaExpression, JinjaExpression)>();
        while (!Current.Is("}"))
        {
            if (items.Count > 0) ExpectSymbol(",");
            if (Current.Is("}")) break;
            var key = Expression();
            ExpectSymbol(":");
            items.Add((key, Expression()));
        }
        ExpectSymbol("}");
        return new MapExpression(line, items);
    }

    private BigInteger Whole(JinjaToken token)
    {
        var text = token.Text;
        if (text.Length > MostDigits) throw Error($"a number of more than {MostDigits} digits", token);
        return PyNumber.TryParseInt(text, 0, out var number) ? number : throw Error($"{text} is no number", token);
    }

    private JinjaExpression Postfix(JinjaExpression expression)
    {
        while (true)
        {
            if (Current.Is(".")) expression = Attribute(expression);
            else if (Current.Is("[")) expression = Index(expression);
            else if (Current.Is("(")) expression = new CallExpression(Current.Line, expression, Arguments());
            else return expression;
        }
    }

    // Filters, tests and calls behind an expression; only filters where there is none yet.
    private JinjaExpression Filters(JinjaExpression? expression)
    {
        while (true)
        {
            if (Skip("|")) expression = FilterCall(expression);
            else if (expression is null) throw Unexpected("|");
            else if (expression is FilterExpression { HasValue: false }) return expression;
            else if (Current.IsName("is")) expression = Test(expression);
            else if (Current.Is("(")) expression = new CallExpression(Current.Line, expression, Arguments());
            else return expression;
        }
    }

    private FilterExpression FilterCall(JinjaExpression? input)
    {
        var line = Current.Line;
        return new FilterExpression(line, input, DottedName(), Current.Is("(") ? Arguments() : JinjaCallArguments.None);
    }

    private JinjaExpression Test(JinjaExpression expression)
    {
        var line = Take().Line;
        var negated = SkipName("not");
        var name = DottedName();
        var arguments = JinjaCallArguments.None;
        if (Current.Is("(")) arguments = Arguments();
        else if (Current.Kind is JinjaKind.Name or JinjaKind.Text or JinjaKind.Integer or JinjaKind.Float || Current.Is("[") || Current.Is("{"))
        {
            if (Current.IsName("is")) throw Error("You cannot chain multiple tests with is");
            // x is divisibleby 3: one argument needs no brackets. What follows a test without one is not its argument.
            if (!(Current.IsName("else") || Current.IsName("or") || Current.IsName("and")))
                arguments = new JinjaCallArguments([Postfix(Primary())], [], null, null);
        }
        var test = new TestExpression(line, expression, name, arguments);
        return negated ? new NotExpression(line, test) : test;
    }

    private string DottedName()
    {
        var name = ExpectName();
        while (Skip(".")) name += "." + ExpectName();
        return name;
    }

    private JinjaExpression Attribute(JinjaExpression owner)
    {
        var line = Take().Line;
        var name = Take();
        return name.Kind switch
        {
            JinjaKind.Name => new AttributeExpression(line, owner, name.Text),
            JinjaKind.Integer => new IndexExpression(line, owner, new ConstantExpression(line, new IntValue(Whole(name)))),
            _ => throw Error("expected name or number", name),
        };
    }

    private JinjaExpression Index(JinjaExpression owner)
    {
        var line = Take().Line;
        var start = Current.Is(":") ? null : Expression();
        if (!Skip(":"))
        {
            if (Current.Is(",")) throw Error("an index of several values is not supported");
            ExpectSymbol("]");
            return new IndexExpression(line, owner, start!);
        }
        var stop = Current.Is(":") || Current.Is("]") ? null : Expression();
        var step = Skip(":") && !Current.Is("]") ? Expression() : null;
        ExpectSymbol("]");
        return new SliceExpression(line, owner, start, stop, step);
    }

    private JinjaCallArguments Arguments()
    {
        var open = Take();
        var (given, named) = (new List<JinjaExpression>(), new List<(string, JinjaExpression)>());
        JinjaExpression? rest = null, namedRest = null;
        for (var first = true; !Current.Is(")"); first = false)
        {
            if (!first)
            {
                ExpectSymbol(",");
                if (Current.Is(")")) break;
            }
            if (Current.Is("*") && rest is null && namedRest is null)
            {
                Take();
                rest = Expression();
            }
            else if (Current.Is("**") && namedRest is null)
            {
                Take();
                namedRest = Expression();
            }
            else if (Current.Kind == JinjaKind.Name && Next.Is("=") && namedRest is null)
            {
                var name = Take().Text;
                Take();
                named.Add((name, Expression()));
            }
            else if (rest is null && namedRest is null && named.Count == 0) given.Add(Expression());
            else throw Error("invalid syntax for function call expression", open);
        }
        ExpectSymbol(")");
        return new JinjaCallArguments(given, named, rest, namedRest);
    }
}
